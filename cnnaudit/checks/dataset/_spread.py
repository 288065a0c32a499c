"""How much the images of a class differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.checks.dataset._filters import filter_features

FEWEST = 5
MOST = 1_000


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
