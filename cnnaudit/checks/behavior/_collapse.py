"""Classes that a model predicts far less often than they occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.statistics import proportion_interval, proportion_p_value


@dataclass(frozen=True, slots=True)
class Balance:
    """How often a class (or several together) is predicted for each time that it occurs, with its exact interval."""

    classes: tuple[int, ...]
    present: int
    predicted: int
    images: int
    interval: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Predictions of the class for each of its images."""
        return self.predicted / self.present

    def p_value(self, tolerance: float) -> float:
        """Exact p-value of 'the ratio is at least `tolerance`'."""
        return proportion_p_value(self.predicted, self.images, tolerance * self.present / self.images, "at_least")


def balances(labels: np.ndarray, predicted: np.ndarray, chosen: np.ndarray, confidence: float) -> list[Balance]:
    """The balance of each chosen class, each at that confidence.

    The ratio is q / p with q the share of predictions and p the share of images of the class, and its interval that of
    q (Clopper and Pearson) divided by p, which is known.

    Example:
        >>> [b.ratio for b in balances(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), np.array([0, 1]), 0.95)]
        [1.5, 0.5]
    """
    return [_balance((int(k),), labels, predicted, confidence) for k in chosen]


def others(labels: np.ndarray, predicted: np.ndarray, confidence: float) -> Balance:
    """The balance of all classes but the most predicted one, taken together: 0 where one class is always predicted."""
    favorite = np.bincount(predicted).argmax()
    return _balance(tuple(int(k) for k in np.unique(labels) if k != favorite), labels, predicted, confidence)


def needed_per_class(tolerance: float, confidence: float) -> int:
    """How many images a class needs so that never predicting it tells its ratio from `tolerance`.

    From (1 - q)**n = (1 - confidence) / 2 at q = tolerance p: n p is about ln(2 / (1 - confidence)) / tolerance.
    """
    return int(np.ceil(np.log(2 / (1 - confidence)) / tolerance))


def _balance(classes: tuple[int, ...], labels: np.ndarray, predicted: np.ndarray, confidence: float) -> Balance:
    n, present = len(labels), int(np.isin(labels, classes).sum())
    count = int(np.isin(predicted, classes).sum())
    low, high = proportion_interval(count, n, confidence)
    return Balance(classes, present, count, n, (low * n / present, high * n / present))
