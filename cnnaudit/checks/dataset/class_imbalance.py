"""Does the model beat 'always the majority' when all classes count alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from cnnaudit.checks.dataset._shared import _labels, _locations


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
