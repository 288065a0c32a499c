"""The numbers behind a boxplot of features by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONSTANT = 1e-6


@dataclass(frozen=True)
class Box:
    """One feature in one class.

    Attributes:
        low, high: the whiskers, the outermost values within 1.5 interquartile ranges of the box.
        spread: the standard deviation.
        outliers: how many values lie beyond the whiskers.
    """

    n: int
    low: float
    q25: float
    median: float
    q75: float
    high: float
    spread: float
    outliers: int

    @property
    def constant(self) -> bool:
        """Whether the feature has the same value for every image of the class (several of them)."""
        return self.n > 1 and self.spread <= CONSTANT * max(1.0, abs(self.median))


def boxes(features: np.ndarray, labels: np.ndarray, classes: int) -> list[list[Box | None]]:
    """Per feature and class its box; None where the class has no image.

    Args:
        features: (n, d).
        labels: int64 (n,) in 0..classes-1.

    Source: Tukey, Exploratory Data Analysis, 1977.

    Example:
        >>> boxes(np.array([[1.0], [2.0], [3.0]]), np.zeros(3, int), 1)[0][0].median
        2.0
    """
    return [[_box(column[labels == k]) for k in range(classes)] for column in np.asarray(features, dtype=float).T]


def _box(values: np.ndarray) -> Box | None:
    if not len(values):
        return None
    q25, median, q75 = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    reach = 1.5 * (q75 - q25)
    kept = values[(values >= q25 - reach) & (values <= q75 + reach)]
    kept = kept if len(kept) else np.array([q25, q75])
    low, high = float(kept.min()), float(kept.max())
    outliers = int(((values < low) | (values > high)).sum())
    return Box(len(values), low, q25, median, q75, high, float(values.std()), outliers)
