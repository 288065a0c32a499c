"""Is a class never predicted, or is one always predicted?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.behavior._shared import LISTED, _answers
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.behavior._plants import _REAL
from cnnaudit.checks.small_targets import plain


@check(
    question="Is a class never predicted, or is one always predicted?",
    statistic="predictions of the rarest predicted class for each of its images",
    unit="predictions per image",
    direction="at_least",
    tolerance=0.25,
    gate=True,
    remedy="Balance the training (weight the loss by class, or sample the classes evenly) or move the decision "
    "threshold, and check that data.classes names every class in the order of the logits.",
    reference="von Burg, Debugging deep neural networks, 2017 (400 passes, 30 failures: 'always pass' scores 93 %)",
    needs=("validation",),
)
def collapsed_classes(context: CheckContext) -> Finding:
    """Smallest ratio, over the classes, of how often a class is predicted to how often it occurs.

    0 for a class that is never predicted; where one is always predicted, every other has 0. The interval is exact
    (Clopper and Pearson) and holds for all classes at once (Bonferroni). Classes with too few images to tell 'never'
    from the tolerance are named, not judged; where that is all of them, only 'one is always predicted' can be told.
    The tolerance is a policy below the lowest ratio of weak but honest models (.33, at .45 accuracy on CIFAR-10).
    """
    target = context.target
    from cnnaudit.checks.behavior import _collapse as collapse

    labels, predicted = _answers(context)
    counts = np.bincount(labels, minlength=len(target.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise UnsupportedError("the validation images are all of one class: there is no other that could be forgotten")
    each = 1 - (1 - context.confidence) / len(present)
    needed = collapse.needed_per_class(context.tolerance, each)
    judged = present[counts[present] >= needed]
    found = collapse.balances(labels, predicted, judged, each) or [collapse.others(labels, predicted, each)]
    worst = min(found, key=lambda balance: balance.ratio)
    interval = (min(b.interval[0] for b in found), min(b.interval[1] for b in found))
    few = f"{len(present) - len(judged)} of {len(present)} classes have fewer than the {needed} images that it takes"
    if not len(judged) and context.verdict(interval) != "fail":
        raise UnsupportedError(
            f"{few} to judge one; none takes all predictions (at most {np.bincount(predicted).max()})"
        )
    shown = sorted(found, key=lambda balance: balance.ratio)[:LISTED]
    names = [target.classes[b.classes[0]] if len(judged) else "all classes but one" for b in shown]
    rows = [(name, b.present, b.predicted) for name, b in zip(names, shown, strict=True)]
    return context.judge(
        worst.ratio,
        interval,
        n=len(labels),
        p_value=min(1.0, len(present) * min(balance.p_value(context.tolerance) for balance in found)),
        summary=f"Predicted least often for its images is {names[0]}: {worst.predicted} times for {worst.present}"
        + (f"; {few} to judge one." if len(judged) < len(present) else "."),
        locations=[Location(b.ratio, class_name=name) for name, b in zip(names, shown, strict=True) if len(judged)],
        evidence=[evidence.table("Rarest predicted classes", ("class", "images", "predictions"), rows)],
    )


def graded(seed: int, always_pass: bool) -> AuditTarget:
    """400 passes and 30 failures: a model that always says pass, or is right nine times out of ten."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "grades")
    labels = np.repeat([0, 1], [400, 30])
    predicted = np.zeros(430, int) if always_pass else np.where(rng.random(430) < 0.9, labels, 1 - labels)
    images = write_predictions(rng.random((430, 1, 8, 8), dtype=np.float32), predicted, 2)
    return AuditTarget.from_arrays("grades", reads_pixel(2), {"validation": (images, labels)}, ("pass", "fail"))


PLANTS = [
    Plant("'always pass' on 400 / 30", partial(graded, always_pass=True), partial(graded, always_pass=False)),
]


POPULATIONS = [
    *(Population(f"ten classes of {source}", partial(plain, source=source)) for source in ("digits", *_REAL)),
]
