"""Does each class have enough different images?

A class that repeats a handful of images teaches the model those images. The audit counts the images of a class that
differ in at least one pixel, and compares the count with the size of the class.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._classes import SHOWN_CLASSES, THESIS, locate_classes
from cnnaudit.checks.dataset._clean_targets import (
    DIGITS,
    clean_populations,
    digit_splits,
    figures,
    fitted_target,
    plain_digits,
    turned_figures,
)
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import proportion_interval

if TYPE_CHECKING:
    from cnnaudit.checks.scan import Scan
    from cnnaudit.target import AuditTarget

_SHOWN_IMAGES = 6


def distinct_counts(fingerprints: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and distinct images of each class.

    Args:
        fingerprints: one hash per image, (N,).
        labels: class of each image, (N,).

    Returns:
        The classes in ascending order, how many images each has, and how many of them are distinct: (k,) each.

    Example:
        >>> [x.tolist() for x in distinct_counts(np.array([7, 7, 8, 9]), np.array([0, 0, 0, 1]))]
        [[0, 1], [3, 1], [2, 1]]
    """
    classes, n = np.unique(labels, return_counts=True)
    distinct = np.array([len(np.unique(fingerprints[labels == k])) for k in classes], dtype=int)
    return classes, n, distinct


@check(
    question="Does each class have enough different images?",
    statistic="share of distinct images in the class that repeats most",
    unit="share of images",
    direction="at_least",
    tolerance=0.5,
    gate=True,
    exact=True,
    remedy="Remove the repeated images of this class and collect or generate others.",
    reference=f"{THESIS}, dataset 2.1",
)
def few_distinct(context: CheckContext) -> Finding:
    """Distinct images / images of a class, the least over the classes of the training split (else of validation).

    Two images are the same where all their 8-bit pixels are. Where the split is read whole, the share is a count
    without an interval. Where only a share s of it is read, each class's true share of distinct images lies between
    1 - (1 - d / n) / s and d / n in expectation, d the distinct ones of n images read, however often images repeat:
    d / n as a function of s is convex and reaches the truth at s = 1. The interval is that, with the exact binomial
    error of n - d of n.

    Tolerance: a policy, half. On MNIST, Fashion-MNIST, CIFAR-10, digits and noisy figures all images are distinct.
    """
    split = "train" if "train" in context.target.splits else "validation"
    seen = context.scan(split)
    if not len(seen.labels):
        raise UnsupportedError(f"counting distinct images needs images in data.{split}")
    classes, n, distinct = distinct_counts(seen.fingerprints, seen.labels)
    share = distinct / n
    bounds = np.array([_bounds(int(d), int(m), seen.share, context.confidence) for d, m in zip(distinct, n)])
    worst = int(share.argmin())
    names = [context.target.classes[k] for k in classes]
    read = "" if seen.share == 1 else f" ({seen.share:.0%} of the images were read)"
    others = f"; the other classes have at least {np.delete(share, worst).min():.0%}" if len(names) > 1 else ""
    kind = "training" if split == "train" else split
    return context.judge(
        float(share[worst]),
        (float(bounds[:, 0].min()), float(bounds[:, 1].min())),
        n=len(seen.labels),
        summary=f"All {n.sum():,} {kind} images are distinct within their class{read}."
        if share[worst] == 1
        else f"Of the {n[worst]:,} {kind} images of class '{names[worst]}' {distinct[worst]:,} are distinct, "
        f"{share[worst]:.0%}{others}{read}.",
        locations=locate_classes(names, share, worst, bounds[:, 1] < context.tolerance),
        evidence=_shown(context.target, split, seen, classes, n, distinct),
    )


def _bounds(distinct: int, n: int, read: float, confidence: float) -> tuple[float, float]:
    """The interval of a class's true share of distinct images; a point where the split was read whole."""
    if read == 1:
        return distinct / n, distinct / n
    low, high = proportion_interval(n - distinct, n, confidence)
    return max(0.0, 1 - high / read), 1 - low


def _shown(
    target: AuditTarget, split: str, seen: Scan, classes: np.ndarray, n: np.ndarray, distinct: np.ndarray
) -> list[Evidence]:
    """The counts, and the most repeated images of the class that repeats most."""
    order = np.argsort(distinct / n, kind="stable")[:SHOWN_CLASSES]
    rows = [[target.classes[classes[k]], int(n[k]), int(distinct[k])] for k in order]
    found = [evidence.table("Distinct images of each class", ["class", "images", "distinct images"], rows)]
    members = np.nonzero(seen.labels == classes[order[0]])[0]
    _, first, counts = np.unique(seen.fingerprints[members], return_index=True, return_counts=True)
    repeated = [k for k in np.argsort(-counts, kind="stable")[:_SHOWN_IMAGES] if counts[k] > 1]
    if repeated:
        positions = seen.indices[members[first[repeated]]]
        captions = [f"{image_name(target, split, p)}: {counts[k]} times" for p, k in zip(positions, repeated)]
        found.append(evidence.images("The images repeated most", small_images(target, split, positions), captions))
    return found


def repeating_digits(seed: int, kept: int) -> AuditTarget:
    """Digits of which one class consists of that many training images, over and over."""
    splits = digit_splits(seed)
    images, labels = splits["train"]
    members = np.nonzero(labels == seed % 10)[0]
    repeated = images.copy()
    repeated[members] = images[members[np.arange(len(members)) % kept]]
    return fitted_target("repeating digits", {**splits, "train": (repeated, labels)}, DIGITS)


PLANTS = [
    Plant("a class of five images, repeated", partial(repeating_digits, kept=5), plain_digits),
    Plant(
        "turned circles without noise (dataset 2.1)",
        partial(figures, transformation="rotation", noise=0, inverted=False),
        turned_figures,
    ),
]
POPULATIONS = clean_populations()
