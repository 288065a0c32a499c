"""Does the model beat 'always the majority' when all classes count alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import real
from cnnaudit.checks.dataset._shared import _labels, _locations
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._plants import (
    _target,
    figures,
    some_digits,
    some_photographs,
)


@check(
    question="Does the model beat 'always the majority' when all classes count alike?",
    statistic="balanced accuracy above chance",
    unit="0: always one class, 1: perfect",
    direction="at_least",
    tolerance=0.2,
    gate=True,
    remedy="Weight the loss or sample the classes evenly, move the threshold, or collect the rare class; and report "
    "balanced accuracy, not accuracy.",
    reference="von Burg (2017), Debugging deep neural networks; Brodersen et al. (2010), The balanced accuracy",
    needs=("validation",),
)
def class_imbalance(context: CheckContext) -> Finding:
    """Balanced accuracy on a scale where 'always the majority' is 0 and perfection 1.

    (b - 1/K) / (1 - 1/K), b the mean recall of the K classes of the sample; Bayesian bootstrap over the images of each
    class. Cohen's kappa, (accuracy - expected) / (1 - expected) with the agreement expected of independent answers of
    the same frequencies, is reported beside it.

    Tolerance: 'always pass' on 400 / 30 has an upper bound of .14, which must lie below it: .2. Clean models lie above
    .36.
    """
    target = context.target
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.core.statistics import balanced as scores

    truth = _labels(context.sample("validation"), "validation")
    predicted = context.predictions("validation").argmax(1).numpy()
    score, present = scores.balanced_score(predicted, truth), np.unique(truth)
    recalls = scores.recalls(scores.class_counts(predicted == truth, truth, 2))
    sizes = np.bincount(truth)
    names = [target.classes[k] for k in present]
    return context.judge(
        score,
        scores.balanced_interval(predicted, truth, context.confidence, context.generator()),
        n=len(truth),
        summary=f"The model is right on {np.mean(predicted == truth):.1%} of the images, 'always "
        f"{target.classes[int(sizes.argmax())]}' on {sizes.max() / sizes.sum():.1%}; with all classes counted alike it "
        f"reaches {recalls.mean():.1%} (chance {1 / len(present):.1%}).",
        locations=_locations(names, recalls, int(recalls.argmin()), recalls == 0),
        evidence=pictures.of_answers(predicted, truth, target.classes),
    )


def graded(seed: int, recall: float | None) -> AuditTarget:
    """400 'pass' and 30 'fail' images with a model that always says pass, or is right on that share of each class."""
    labels = np.repeat([0, 1], [400, 30])
    predicted = np.zeros_like(labels)
    rng = generator("planted", seed, "graded")
    if recall is not None:
        predicted = labels.copy()
        for k in (0, 1):
            members = rng.permutation(np.nonzero(labels == k)[0])
            wrong = members[: round((1 - recall) * len(members))]
            predicted[wrong] = 1 - k
    images = write_predictions(rng.random((430, 1, 8, 8), dtype=np.float32), predicted, 2)
    return _target("graded", {"validation": (images, labels)}, ("pass", "fail"), reads_pixel(2))


PLANTS = [
    Plant("'always pass' on 400 / 30", partial(graded, recall=None), partial(graded, recall=0.9)),
]


POPULATIONS = [
    Population("digits, random classes", some_digits, 20),
    Population(
        "scaled figures with noise (3.0)", partial(figures, transformation="scaling", noise=20, inverted=True), 20
    ),
    *(
        (
            Population("mnist, random classes", partial(some_photographs, name="mnist"), 20),
            Population("cifar10, random classes", partial(some_photographs, name="cifar10"), 20),
        )
        if real.available()
        else ()
    ),
]
