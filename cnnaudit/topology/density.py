"""The dense part of a cloud of points: those whose k-th neighbor is near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError

BLOCK = 1 << 18  # distances per block: 1 MB, which stays in a core's cache
ROWS = 1024  # points whose neighbors are held at once
SAMPLE = 2048  # points that tell how near the k-th neighbor may be
CROWD = 2000  # points too close to call beyond which a row is measured as a whole
ROUNDING = 4e-6  # of single precision in a squared distance, relative to the largest squared norm


@dataclass(frozen=True)
class Density:
    """The dense part of a cloud: `kept`, ascending numbers of its points; `distance` (N,) to every k-th neighbor."""

    kept: np.ndarray
    distance: np.ndarray


def density_filter(points: np.ndarray, k: int = 100, share: float = 0.3, seed: int = 0) -> Density:
    """Keep the given share of the points, those with the smallest distance to their k-th nearest other point.

    Exact: `seed` chooses the sample that guesses where to look, which changes the time and no number. Ties at the edge
    are kept in the order of the points.

    Args:
        points: (N, d), N > k.
        share: of the points, in (0, 1]; at least one is kept.

    Raises:
        DataError: not more than k points, NaN, or a share out of range.

    Source: G. Carlsson, T. Ishkhanov, V. de Silva, A. Zomorodian, On the local behavior of spaces of natural
    images, 2008.

    Example:
        >>> cloud = np.concatenate([np.linspace(0, 1, 20), [5.0]])[:, None]
        >>> int(density_filter(cloud, k=2, share=0.95).kept.max())
        19
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or not 1 <= k < len(points):
        raise DataError(f"density_filter: expected more than k = {k} points (N, d), got {points.shape}; lower k")
    if not np.isfinite(points).all():
        raise DataError(f"density_filter: {int((~np.isfinite(points)).any(1).sum())} points hold NaN or infinity")
    if not 0 < share <= 1:
        raise DataError(f"density_filter: share must be in (0, 1], got {share}")
    distance = neighbor_distance(points, k, seed)
    order = np.argsort(distance, kind="stable")[: max(1, round(share * len(points)))]
    return Density(np.sort(order), distance)


def neighbor_distance(points: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """The Euclidean distance of every point to its k-th nearest other point, (N,)."""
    spare = _spare_copies(points, k + 1)
    if spare.any():  # they are 0 from one another, and to the others one copy more makes no difference
        distance = np.zeros(len(points))
        distance[~spare] = neighbor_distance(points[~spare], k, seed)
        return distance
    points = points - points.mean(0)
    n, d = points.shape
    squares = (points**2).sum(1)
    slack = np.float32(ROUNDING * max(float(squares.max()), float(np.finfo(np.float32).tiny)))
    rows, columns = np.empty((n, d + 1), np.float32), np.empty((d + 1, n), np.float32)
    rows[:, :d], rows[:, d] = points, 1
    columns[:d], columns[d] = -2 * points.T, squares  # a product is the squared distance less the row's own square
    sample = columns[:, np.sort(np.random.default_rng(seed).permutation(n)[:SAMPLE])]
    expected = k * sample.shape[1] / n
    rank = min(int(expected + 4 * np.sqrt(expected) + 2), sample.shape[1] - 1)
    distance = np.empty(n)
    step = max(8, BLOCK // n)
    block, near = np.empty((step, n), np.float32), np.empty((step, n), bool)
    for start in range(0, n, ROWS):
        part = rows[start : start + ROWS]
        bound = np.partition(part @ sample, rank, axis=1)[:, rank]
        found = []
        for first in range(0, len(part), step):
            some = part[first : first + step]
            product = np.matmul(some, columns, out=block[: len(some)])
            limit = bound[first : first + step, None]
            hits = np.flatnonzero(np.less_equal(product, limit, out=near[: len(some)]))
            found.append((hits + first * n, product.ravel()[hits]))
        hits, values = (np.concatenate(pieces) for pieces in zip(*found))
        distance[start : start + ROWS] = _kth(points, start, k, hits, values, bound, slack)
    return distance


def _spare_copies(points: np.ndarray, enough: int) -> np.ndarray:
    """Which points (N,) have at least that many equal ones before them."""
    spare = np.zeros(len(points), dtype=bool)
    key = (points * np.random.default_rng(0).normal(size=points.shape[1])).sum(1)
    order = np.argsort(key, kind="stable")
    if not (key[order[enough:]] == key[order[:-enough]]).any():
        return spare
    inverse = np.unique(points, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(inverse, kind="stable")
    spare[order[enough:]] = inverse[order[enough:]] == inverse[order[:-enough]]
    return spare


def _kth(
    points: np.ndarray, start: int, k: int, hits: np.ndarray, values: np.ndarray, bound: np.ndarray, slack: np.float32
) -> np.ndarray:
    """The k-th smallest distance of each row, the point itself being the 0-th; what is too close to call is measured.

    Where the sample's bound was too small for k neighbors, the whole row is measured.
    """
    row, others = np.divmod(hits, len(points))
    counts = np.bincount(row, minlength=len(bound))
    table = np.full((len(bound), max(int(counts.max()), k + 1)), np.inf, np.float32)
    table[np.arange(table.shape[1]) < counts[:, None]] = values
    middle = np.partition(table, k, axis=1)[:, k]
    beyond = values - middle[row]
    below = np.bincount(row[beyond < -2 * slack], minlength=len(bound))
    unsure = np.abs(beyond) <= 2 * slack
    crowded = np.bincount(row[unsure], minlength=len(bound)) > CROWD
    unsure &= ~crowded[row]
    row, others = row[unsure], others[unsure]
    exact = ((points[others] - points[start + row]) ** 2).sum(1)
    exact = exact[np.lexsort((exact, row))]
    short = crowded | (middle + 2 * slack > bound)
    place = np.searchsorted(row, np.arange(len(bound))) + k - below
    squared = exact[np.where(short, 0, place)] if len(exact) else np.zeros(len(bound))
    for own in np.flatnonzero(short):
        squared[own] = np.partition(((points - points[start + own]) ** 2).sum(1), k)[k]
    distance: np.ndarray = np.sqrt(squared)
    return distance
