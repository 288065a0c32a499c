"""Does a class consist of (nearly) one image?

A model recognizes a class of one image by any constant of it. The audit compares how much the images of each class
differ, in features that a network could see before it has learned anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.dataset._classes import SHOWN_CLASSES, THESIS, locate_classes
from cnnaudit.checks.dataset._clean_targets import (
    DIGITS,
    Splits,
    clean_populations,
    digit_splits,
    figures,
    fitted_target,
    plain_digits,
    turned_figures,
)
from cnnaudit.checks.dataset._small_images import small_images
from cnnaudit.checks.random_filters import filter_features
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator
from cnnaudit.core.wording import listed

if TYPE_CHECKING:
    from cnnaudit.checks.scan import Scan
    from cnnaudit.target import AuditTarget

FEWEST = 5
MOST = 1_000
_EXAMPLES = 4


@dataclass(frozen=True, eq=False)
class Spreads:
    """The spread of each class that has enough images.

    Attributes:
        classes: labels, int64 (k,).
        n: images of each that were looked at (k,).
        ratio: spread over the median of the other classes' spreads (k,), 0 or more.
        low, high: its bounds (k,). The high ones hold for all classes at once, as a failure picks the worst of them; a
            pass needs every class, so the low ones need no correction (intersection-union).
    """

    classes: np.ndarray
    n: np.ndarray
    ratio: np.ndarray
    low: np.ndarray
    high: np.ndarray


def class_spreads(thumbnails: np.ndarray, labels: np.ndarray, confidence: float) -> Spreads:
    """The spread of each class in random-filter features, relative to the other classes.

    The spread of a class is s = sqrt(mean |x - m|^2), x the features of `filter_features`, m their mean in the class.
    Its ratio to the median of the other classes' spreads (constant ones left out) has a delta-method interval on the
    logarithm: the squared distances |x - m|^2 of the n images are independent, so var(log s) = var(|x - m|^2) /
    (4 n s^4), with Student's t of n - 1 degrees of freedom. A class of identical images has ratio 0.

    Args:
        thumbnails: (N, C, h, w).
        labels: (N,); classes with fewer than 5 images are left out, of each other at most 1,000 are looked at, evenly
            spaced.
    """
    from scipy.stats import t

    found, counts = np.unique(labels, return_counts=True)
    classes, n = found[counts >= FEWEST], np.minimum(counts[counts >= FEWEST], MOST)
    spread, error = np.zeros(len(classes)), np.zeros(len(classes))
    for row, label in enumerate(classes):
        members = np.nonzero(labels == label)[0]
        members = members[np.linspace(0, len(members) - 1, n[row]).astype(int)]
        features = filter_features(thumbnails[members]).astype(float)
        squared = ((features - features.mean(axis=0)) ** 2).sum(axis=1)
        spread[row] = np.sqrt(squared.mean())
        if spread[row] > 0:
            error[row] = squared.std(ddof=1) / (2 * squared.mean() * np.sqrt(n[row]))
    others = np.array([_median_other(spread, row) for row in range(len(classes))], dtype=int)
    ratio = np.divide(spread, spread[others], out=np.zeros(len(classes)), where=spread > 0)
    deviation, tail = np.hypot(error, error[others]), (1 - confidence) / 2
    down = t.ppf(1 - tail, n - 1) * deviation
    up = np.minimum(t.ppf(1 - tail / max(len(classes), 1), n - 1) * deviation, 50)
    return Spreads(classes, n, ratio, ratio * np.exp(-down), ratio * np.exp(up))


def _median_other(spread: np.ndarray, row: int) -> int:
    """The position of the (upper) median among the other classes' spreads above 0; the class itself without any."""
    order = [int(k) for k in np.argsort(spread, kind="stable") if k != row and spread[k] > 0]
    return order[len(order) // 2] if order else row


@check(
    question="Does a class consist of (nearly) one image?",
    statistic="spread of the class that varies least, over the other classes' spread",
    unit="ratio",
    direction="at_least",
    tolerance=0.3,
    gate=True,
    remedy="Collect or generate images of this class that vary as the others do (noise, position, size, lighting). A "
    "model recognizes a constant class by any constant of it, so its accuracy there means nothing.",
    reference=f"{THESIS}, dataset 2.1",
)
def constant_class(context: CheckContext) -> Finding:
    """The smallest class spread in random 3x3-filter features, relative to the other classes.

    s_k = sqrt(mean |x - m_k|^2) over the images of class k, x the largest responses of 32 random 3x3 filters in a 4 x 4
    grid, divided by the median of the other classes' s; the least over the classes, with the interval of
    `class_spreads`. All of the training split is looked at (else the validation split). A class of fewer than 5 images
    may have any spread, so it leaves a pass inconclusive.

    Tolerance: the least spread of clean classes is .62 (1 % point of digits, MNIST, CIFAR-10 and figures, classes drawn
    at random); half of it, rounded down, .3. A class of one image with noise of .02 lies at .18.
    """
    target = context.target
    split = "train" if "train" in target.splits else "validation"
    seen = context.scan(split)
    found = class_spreads(seen.thumbnails, seen.labels, context.confidence)
    if len(found.classes) < 2:
        raise UnsupportedError(
            f"comparing classes needs two with at least {FEWEST} images in data.{split}, found {len(found.classes)}"
        )
    small = [target.classes[k] for k in np.setdiff1d(seen.labels, found.classes)]
    low = 0.0 if small else float(found.low.min())  # what was not looked at may be constant
    names, kind = [target.classes[k] for k in found.classes], "training" if split == "train" else split
    worst = int(found.ratio.argmin())
    return context.judge(
        float(found.ratio.min()),
        (low, float(found.high.min())),
        n=int(found.n.sum()),
        summary=f"The {kind} images of class '{names[worst]}' differ from each other {found.ratio.min():.2f} times as "
        "much as those of other classes do."
        + (f" Too few images to judge (under {FEWEST}): {listed(small)}." if small else ""),
        locations=locate_classes(names, found.ratio, worst, found.high < context.tolerance),
        evidence=_shown(target, split, seen, found, context.tolerance),
    )


def _shown(target: AuditTarget, split: str, seen: Scan, found: Spreads, tolerance: float) -> list[Evidence]:
    """Images of the class that varies least and of a typical one, the spreads, and the exact repeats."""
    order = np.argsort(found.ratio, kind="stable")
    names = [target.classes[k] for k in found.classes]
    rows: list[int] = []
    for label in (found.classes[order[0]], found.classes[order[len(order) // 2]]):
        members = np.nonzero(seen.labels == label)[0]
        rows += members[np.linspace(0, len(members) - 1, min(_EXAMPLES, len(members))).astype(int)].tolist()
    repeated = {k: _repeats(seen.fingerprints[seen.labels == found.classes[k]]) for k in order[:SHOWN_CLASSES]}
    return [
        evidence.images(
            "The class that varies least, and a typical one",
            small_images(target, split, seen.indices[rows]),
            [target.classes[seen.labels[row]] for row in rows],
        ),
        evidence.bars(
            "Spread of each class",
            {names[k]: float(found.ratio[k]) for k in order[:SHOWN_CLASSES]},
            label="ratio to the other classes",
            tolerance=tolerance,
        ),
        evidence.table(
            "Repeated images",
            ["class", "images", "exact repeats of an earlier one"],
            [[names[k], int(found.n[k]), f"{share:.1%}"] for k, share in repeated.items()],
        ),
    ]


def _repeats(fingerprints: np.ndarray) -> float:
    """The share of images that are exact copies of an earlier one."""
    return 1 - len(np.unique(fingerprints)) / max(len(fingerprints), 1)


def one_image_class(seed: int, deviation: float = 0.02) -> AuditTarget:
    """Digits in which one class is the same image with a little noise."""
    splits = digit_splits(seed)
    victim = seed % 10
    changed: Splits = {}
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "noise", split)
        copies = splits["train"][0][splits["train"][1] == victim][:1].repeat(int((labels == victim).sum()), axis=0)
        altered = images.copy()
        altered[labels == victim] = np.clip(copies + rng.normal(0, deviation, copies.shape), 0, 1)
        changed[split] = (altered, labels)
    return fitted_target("one image as a class", changed, DIGITS)


PLANTS = [
    Plant("one digit is one image with a little noise", one_image_class, plain_digits),
    Plant(
        "turned circles without noise (dataset 2.1)",
        partial(figures, transformation="rotation", noise=0, inverted=False),
        turned_figures,
    ),
]
POPULATIONS = [*clean_populations(), Population("turned figures with noise (4.0)", turned_figures, 20)]
