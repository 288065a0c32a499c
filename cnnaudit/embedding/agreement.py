"""Do two ways of grouping the same images agree beyond chance?"""

from __future__ import annotations

import numpy as np


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """The adjusted Rand index of two groupings: 0 at chance, 1 for the same groups, below 0 for worse than chance.

    With n_ij images in group i of one and j of the other, and C(n) = n (n - 1) / 2:
    (sum C(n_ij) - E) / ((sum C(n_i) + sum C(n_j)) / 2 - E), where E = sum C(n_i) sum C(n_j) / C(n). Two groupings
    without any information (one group each) give 0.

    Args:
        first, second: integers of at least 0, (n,).

    Source: Hubert and Arabie, Comparing partitions, 1985.

    Example:
        >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
        1.0
    """
    first, second = np.asarray(first), np.asarray(second)
    width = int(second.max(initial=0)) + 1
    joint = _pairs(np.bincount(first * width + second))
    rows, columns = _pairs(np.bincount(first)), _pairs(np.bincount(second))
    total = len(first) * (len(first) - 1) / 2
    expected = rows * columns / total if total else 0.0
    most = (rows + columns) / 2
    return float((joint - expected) / (most - expected)) if most > expected and min(rows, columns) < total else 0.0


def adjusted_rand_within(parts: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """The mean adjusted Rand index inside each part, weighted by its images: agreement that the parts cannot explain.

    Args:
        parts, first, second: integers of at least 0, (n,).
    """
    names, sizes = np.unique(parts, return_counts=True)
    values = [adjusted_rand(first[parts == name], second[parts == name]) for name in names]
    return float(np.average(values, weights=sizes))


def _pairs(counts: np.ndarray) -> float:
    """The number of pairs inside groups of these sizes."""
    return float((counts * (counts - 1.0)).sum() / 2)
