"""Is a class never predicted, or is one always predicted?

A model that forgets a rare class can have a high accuracy all the same. Every class is judged, rare ones too: the check
passes only where each class is shown to be predicted often enough for its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.behavior._sample import LISTED, labels_and_predictions
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.checks.small_targets import plain
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator, needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

NAMED = 3  # undecided classes in the sentence


@dataclass(frozen=True, slots=True)
class Balance:
    """How often a class (or several together) is predicted for each time that it occurs.

    Attributes:
        present: images of the class among all `images`.
        predicted: predictions of the class.
        low, high: bounds of the ratio predicted / present, see `balances`.
    """

    classes: tuple[int, ...]
    present: int
    predicted: int
    images: int
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Predictions of the class for each of its images."""
        return self.predicted / self.present

    def undecided(self, tolerance: float) -> bool:
        """Whether the ratio may lie on either side of the tolerance."""
        return self.low < tolerance <= self.high

    def p_value(self, tolerance: float) -> float:
        """Exact p-value of 'the ratio is at least `tolerance`'."""
        return proportion_p_value(self.predicted, self.images, tolerance * self.present / self.images, "at_least")

    def needed(self, tolerance: float, confidence: float) -> int | None:
        """How many images in all would decide, at the same shares."""
        return needed_images(self.predicted / self.images, tolerance * self.present / self.images, confidence)


def balances(labels: np.ndarray, predicted: np.ndarray, confidence: float) -> list[Balance]:
    """The balance of each class that occurs, and of all classes but the most predicted one, taken together.

    The ratio is q / p with q the share of predictions and p the share of images of the class, and its bounds are those
    of q (Clopper and Pearson) divided by p, which is known. Upper bounds hold for all at once (Bonferroni), so that
    one class is accused wrongly with a chance of at most (1 - confidence) / 2; lower bounds hold for each, as a pass
    needs all of them (intersection-union test, Berger 1982). Hence the least ratio lies between the least lower and
    the least upper bound with that confidence.

    Example:
        >>> [b.ratio for b in balances(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 0.95)]
        [1.5, 0.5, 0.5]
    """
    present = np.unique(labels)
    favorite = np.bincount(predicted).argmax()
    asked = [(int(k),) for k in present] + [tuple(int(k) for k in present if k != favorite)]
    together = 1 - (1 - confidence) / len(asked)
    return [_balance(classes, labels, predicted, confidence, together) for classes in asked]


def _balance(
    classes: tuple[int, ...], labels: np.ndarray, predicted: np.ndarray, confidence: float, together: float
) -> Balance:
    n, present = len(labels), int(np.isin(labels, classes).sum())
    count = int(np.isin(predicted, classes).sum())
    low, high = proportion_interval(count, n, confidence)[0], proportion_interval(count, n, together)[1]
    return Balance(classes, present, count, n, low * n / present, high * n / present)


@check(
    question="Is a class never predicted, or is one always predicted?",
    statistic="predictions of the rarest predicted class for each of its images",
    unit="predictions per image",
    direction="at_least",
    tolerance=0.25,
    gate=True,
    remedy="Balance the training (weight the loss by class, or sample the classes evenly) or move the decision "
    "threshold, and check that data.classes names every class in the order of the logits.",
    reference="von Burg, Debugging deep neural networks, 2017 (400 passes, 30 failures: 'always pass' scores 93 %); "
    "Berger, Multiparameter hypothesis testing and acceptance sampling, 1982",
    needs=("validation",),
)
def collapsed_classes(context: CheckContext) -> Finding:
    """Smallest ratio, over the classes, of how often a class is predicted to how often it occurs.

    0 for a class that is never predicted; where one is always predicted, every other has 0. The interval is exact
    (Clopper and Pearson) and holds for all classes at once; classes that few images leave undecided are named. Where
    no class has images enough, only 'one is always predicted' can be told. The tolerance is a policy below the lowest
    ratio of weak but honest models (.33, at .45 accuracy on CIFAR-10).
    """
    labels, predicted = labels_and_predictions(context)
    if len(np.unique(labels)) < 2:
        raise UnsupportedError("the validation images are all of one class: there is no other that could be forgotten")
    *each, others = balances(labels, predicted, context.confidence)
    found = sorted(each, key=lambda balance: balance.ratio)
    interval = (min(b.low for b in found), min(b.high for b in (*found, others)))
    if _too_few(labels, context) and context.verdict(interval) != "fail":
        most = np.bincount(predicted).max()
        raise UnsupportedError(
            f"none of the {len(found)} classes has enough of the {len(labels)} images to be judged; "
            f"no class takes all predictions (the most predicted one takes {most})"
        )
    names = [context.target.classes[b.classes[0]] for b in found]
    undecided = [name for name, b in zip(names, found, strict=True) if b.undecided(context.tolerance)]
    needed = [b.needed(context.tolerance, context.confidence) for b in found if b.undecided(context.tolerance)]
    rows = [(name, b.present, b.predicted, _word(b, context.tolerance)) for name, b in zip(names, found, strict=True)]
    return context.judge(
        found[0].ratio,
        interval,
        n=len(labels),
        p_value=min(1.0, (len(found) + 1) * min(b.p_value(context.tolerance) for b in (*found, others))),
        needed_n=max((n for n in needed if n), default=None),
        summary=f"Predicted least often for its images is {names[0]}: {found[0].predicted} times for "
        f"{found[0].present}."
        + (_favorite(predicted, context) if others.high < context.tolerance else _undecided(undecided, len(found))),
        locations=[Location(b.ratio, class_name=name) for name, b in zip(names[:LISTED], found, strict=False)],
        evidence=[
            evidence.table(
                "Rarest predicted classes", ("class", "images", "predictions", "often enough"), rows[:LISTED]
            )
        ],
    )


def _too_few(labels: np.ndarray, context: CheckContext) -> bool:
    """Whether no class could be cleared, even if it were predicted exactly as often as it occurs."""
    n, counts = len(labels), np.unique(np.unique(labels, return_counts=True)[1])
    lows = [proportion_interval(int(count), n, context.confidence)[0] * n / count for count in counts]
    return bool(max(lows) < context.tolerance)


def _word(balance: Balance, tolerance: float) -> str:
    """Whether the class is predicted often enough: `yes`, `no` or `undecided`."""
    return "undecided" if balance.undecided(tolerance) else "yes" if balance.low >= tolerance else "no"


def _favorite(predicted: np.ndarray, context: CheckContext) -> str:
    """Which class nearly all predictions name."""
    counts = np.bincount(predicted)
    return f" {counts.max()} of all {len(predicted)} predictions are {context.target.classes[counts.argmax()]}."


def _undecided(names: Sequence[str], classes: int) -> str:
    """Which classes too few images leave undecided."""
    if not names:
        return ""
    named = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f" {len(names)} of {classes} classes {'is' if len(names) == 1 else 'are'} undecided: {named}."


def predicting(labels: np.ndarray, predicted: np.ndarray, classes: int) -> AuditTarget:
    """A target of those labels whose model gives those predictions."""
    from cnnaudit.target import AuditTarget

    blank = np.zeros((len(labels), 1, 2, 2), dtype=np.float32)
    images = write_predictions(blank, predicted, classes)
    names = tuple(f"class {k}" for k in range(classes))
    return AuditTarget.from_arrays("predictions", reads_pixel(classes), {"validation": (images, labels)}, names)


def graded(seed: int, always_pass: bool) -> AuditTarget:
    """400 passes and 30 failures: a model that always says pass, or is right nine times out of ten."""
    rng = generator("planted", seed, "grades")
    labels = np.repeat([0, 1], [400, 30])
    right = np.where(rng.random(430) < 0.9, labels, 1 - labels)
    return predicting(labels, np.zeros(430, int) if always_pass else right, 2)


def forgetful(seed: int, forgets: bool) -> AuditTarget:
    """Six classes, one of them rarer, that a model of .9 accuracy never names, or names as often as the others."""
    rng = generator("planted", seed, "forgotten")
    labels = np.repeat(np.arange(6), [90, 90, 90, 90, 90, 50])
    guessed = np.where(rng.random(500) < 0.9, labels, rng.integers(6, size=500))
    return predicting(labels, np.where(forgets & (guessed == 5), 0, guessed), 6)


PLANTS = [
    Plant("'always pass' on 400 / 30", partial(graded, always_pass=True), partial(graded, always_pass=False)),
    Plant("the rarest of six forgotten", partial(forgetful, forgets=True), partial(forgetful, forgets=False)),
]


POPULATIONS = [*ordinary(seeds=300), Population("ten classes of digits", partial(plain, source="digits"))]
