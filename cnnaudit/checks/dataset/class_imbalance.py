"""Is the model well above 'always the largest class' when all classes count alike?

Where one class has most of the images, accuracy rewards a model that ignores the others. Balanced accuracy does not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._classes import SHOWN_CLASSES, answers_of, labels_of, locate_classes
from cnnaudit.checks.dataset._clean_targets import clean_populations, fitted_target
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import balanced, generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnaudit.target import AuditTarget


@check(
    question="Is the model well above 'always the largest class' when all classes count alike?",
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
    """Balanced accuracy on a scale where 'always the same class' is 0 and perfection 1.

    (b - 1/K) / (1 - 1/K), b the mean recall of the K classes of the sample; Bayesian bootstrap over the images of each
    class. Cohen's kappa, (accuracy - expected) / (1 - expected) with the agreement expected of independent answers of
    the same frequencies, is reported beside it. A model between 0 and the tolerance fails as well: the sentence then
    says that it is above 'always the same class', and by how much.

    Tolerance: 'always pass' on 400 / 30 has an upper bound of .14, which must lie below it: .2. Clean models lie above
    .36.
    """
    truth, predicted = labels_of(context.sample("validation"), "validation"), answers_of(context, "validation")
    score, present = balanced.balanced_score(predicted, truth), np.unique(truth)
    interval = balanced.balanced_interval(predicted, truth, context.confidence, context.generator())
    recalls = balanced.recalls(balanced.class_counts(predicted == truth, truth, 2))
    names = [context.target.classes[k] for k in present]
    return context.judge(
        score,
        interval,
        n=len(truth),
        summary=_sentence(names, truth, predicted, score, interval, context.tolerance),
        locations=locate_classes(names, recalls, int(recalls.argmin()), recalls == 0),
        evidence=_shown(predicted, truth, context.target.classes),
    )


def _sentence(
    names: Sequence[str],
    truth: np.ndarray,
    predicted: np.ndarray,
    score: float,
    interval: tuple[float, float],
    tolerance: float,
) -> str:
    """The score in words, with the bound that it is compared to."""
    sizes = np.unique(truth, return_counts=True)[1]
    always = f"'always {names[int(sizes.argmax())]}'"
    above = "is not clearly above" if interval[0] <= 0 else "is above"
    return (
        f"With all classes counted alike the model {above} {always}: it comes {score:.0%} of the way from there to "
        f"perfect, at least {tolerance:.0%} are expected. It is right on {np.mean(predicted == truth):.1%} of the "
        f"images, {always} on {sizes.max() / sizes.sum():.1%}."
    )


def _shown(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Evidence]:
    """Model and 'always the largest class' on each scale, and what is predicted for each class."""
    present, sizes = np.unique(labels, return_counts=True)
    mean_recall = float(np.mean([np.mean(predicted[labels == k] == k) for k in present]))
    beside = [
        ["accuracy", f"{np.mean(predicted == labels):.1%}", f"{sizes.max() / sizes.sum():.1%}"],
        ["balanced accuracy", f"{mean_recall:.1%}", f"{1 / len(present):.1%}"],
        ["Cohen's kappa", f"{balanced.kappa(predicted, labels):.3f}", "0"],
    ]
    rows = [
        [
            classes[k],
            int((labels == k).sum()),
            f"{np.mean(predicted[labels == k] == k):.1%}",
            int((predicted == k).sum()),
        ]
        for k in present[np.argsort(-sizes, kind="stable")[:SHOWN_CLASSES]]
    ]
    return [
        evidence.table("On one scale", ["", "this model", "always the largest class"], beside),
        evidence.table("The largest classes", ["class", "images", "recognized", "predicted in all"], rows),
    ]


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
    return fitted_target("graded", {"validation": (images, labels)}, ("pass", "fail"), reads_pixel(2))


PLANTS = [Plant("'always pass' on 400 / 30", partial(graded, recall=None), partial(graded, recall=0.9))]
POPULATIONS = clean_populations()
