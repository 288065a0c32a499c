"""Accuracies on one scale, whatever the number of classes and their sizes, with honest intervals for small classes."""

from __future__ import annotations

import numpy as np

DRAWS = 20_000


def class_counts(outcomes: np.ndarray, labels: np.ndarray, kinds: int) -> np.ndarray:
    """How often each outcome occurs in each class that has images: int64 (k, kinds).

    Args:
        outcomes: integers in 0..kinds-1, shape (n,).
        labels: (n,).

    Example:
        >>> class_counts(np.array([1, 0, 1]), np.array([0, 0, 2]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    present, rows = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(present), kinds), dtype=np.int64)
    np.add.at(counts, (rows, np.asarray(outcomes, dtype=np.int64)), 1)
    return counts


def above_chance(recalls: np.ndarray) -> np.ndarray | float:
    """Balanced accuracy on a scale of 0 (chance, or always the same class) to 1 (perfect).

    (b - 1/K) / (1 - 1/K), b the mean over the last axis of the K classes' recalls; also known as adjusted balanced
    accuracy, and for two classes as Youden's J = sensitivity + specificity - 1.

    Example:
        >>> float(above_chance(np.array([1.0, 0.0]))), float(above_chance(np.array([0.9, 0.9])))
        (0.0, 0.8)
    """
    chance = 1 / recalls.shape[-1]
    result: np.ndarray | float = np.round((recalls.mean(axis=-1) - chance) / (1 - chance), 12)
    return result


def recalls(counts: np.ndarray) -> np.ndarray:
    """Recall of each class from (..., k, 2) counts of wrong and right answers."""
    rates: np.ndarray = counts[..., 1] / counts.sum(axis=-1)
    return rates


def balanced_score(predicted: np.ndarray, labels: np.ndarray) -> float:
    """`above_chance` of predictions."""
    return float(above_chance(recalls(class_counts(predicted == labels, labels, 2))))


def draw_counts(counts: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Rates that could lie behind counts of independent images: (draws, ..., m) for counts (..., m).

    A Bayesian bootstrap over the images with a Jeffreys prior of weight 1 in all (1/m to each of m outcomes), so that
    an outcome never seen in 30 images may still have a rate of a few percent; a plain bootstrap would call it 0.

    Source: Rubin, The Bayesian bootstrap, 1981; Brown, Cai and DasGupta, Interval estimation for a binomial
    proportion, 2001.
    """
    weights = rng.standard_gamma(counts + 1 / counts.shape[-1], size=(draws, *counts.shape))
    total = weights.sum(axis=-1, keepdims=True)
    rates: np.ndarray = weights / np.where(total > 0, total, 1)
    return rates


def interval(
    point: float, draws: np.ndarray, confidence: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    """The central part of the draws, shifted so that their mean is the measured value, and clipped to the bounds.

    The shift takes out what the prior adds when many small classes are averaged.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail]) - draws.mean()
    return float(np.clip(point + low, *bounds)), float(np.clip(point + high, *bounds))


def balanced_interval(
    predicted: np.ndarray, labels: np.ndarray, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """The interval of `balanced_score`: images are drawn class by class, as the classes' sizes are given."""
    counts = class_counts(predicted == labels, labels, 2)
    rates = draw_counts(counts, rng, _affordable(counts))[..., 1]
    return interval(balanced_score(predicted, labels), np.asarray(above_chance(rates)), confidence, (-1.0, 1.0))


def _affordable(counts: np.ndarray) -> int:
    """As many draws as fit in a few seconds and 400 MB."""
    return int(max(2_000, min(DRAWS, 50_000_000 // max(counts.size, 1))))


def kappa(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond what independent answers of the same frequencies would reach; at most 1.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.

    Example:
        >>> kappa(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
        0.0
    """
    names = np.union1d(predicted, labels)
    expected = float(sum(np.mean(predicted == k) * np.mean(labels == k) for k in names))
    agreed = float(np.mean(predicted == labels))
    return (agreed - expected) / (1 - expected) if expected < 1 else 0.0
