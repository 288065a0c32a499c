"""The Ward dendrogram of units: where it steps, where it is cut, and its groups beside those of another method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def by_size(labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """Labels renamed 0, 1, … from the largest group to the smallest; of equal ones the first to appear."""
    names, first, back, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=int)
    rank[np.lexsort((first, -sizes))] = np.arange(len(names))
    return np.asarray(rank[back])


def tree(distances: np.ndarray) -> np.ndarray:
    """The Ward dendrogram of condensed distances, (n - 1, 4), as SciPy has it."""
    from scipy.cluster.hierarchy import linkage

    return np.asarray(linkage(distances, "ward"))


def step(joins: np.ndarray, most: int) -> int:
    """The number of groups k >= 2 before the largest relative step of the merging height; 1 for equal units."""
    heights = joins[::-1, 2][:most]  # of the merge that leaves 1, 2, … groups
    if len(heights) < 2 or not heights[0] > 0:
        return 1
    steps = (heights[:-1] - heights[1:]) / np.maximum(heights[:-1], 1e-12)
    return int(steps.argmax()) + 2


def height(joins: np.ndarray, clusters: int) -> float:
    """Where the tree is cut: in the middle between the merges to `clusters` groups and to one less."""
    heights = [0.0, *joins[:, 2].tolist()]
    below = heights[len(joins) + 1 - clusters]
    return float(heights[-1] * 1.05) if clusters < 2 else float((below + heights[len(joins) + 2 - clusters]) / 2)


def cut(joins: np.ndarray, clusters: int) -> np.ndarray:
    """The groups of the dendrogram, (n,)."""
    from scipy.cluster.hierarchy import cut_tree

    return by_size(cut_tree(joins, clusters)[:, 0]) if len(joins) else np.zeros(1, dtype=int)


def matched(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The groups renamed so that as many members as can be have the number that they have among the others.

    Both number their groups from 0; the assignment is the one of largest overlap (Kuhn 1955).

    Example:
        >>> matched(np.array([0, 0, 0, 1, 1]), np.array([1, 1, 1, 0, 0])).tolist()
        [1, 1, 1, 0, 0]
    """
    from scipy.optimize import linear_sum_assignment

    count = int(max(groups.max(initial=0), others.max(initial=0))) + 1
    overlap = np.zeros((count, count))
    np.add.at(overlap, (groups, others), 1)
    _, names = linear_sum_assignment(-overlap)
    return np.asarray(names[groups])
