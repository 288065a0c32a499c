"""The loops of a cloud of points: persistent first homology on landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError

LANDMARKS = 250  # a tenth of a second; births are about as large as the landmarks' spacing
PRIME = 47  # of the field: a cocycle over it can be lifted to whole numbers


@dataclass(frozen=True, eq=False)
class Loops:
    """The loops of a cloud.

    Attributes:
        intervals: (L, 2) births and deaths, those of the longest lifetime first.
        landmarks: numbers of the points that stand for the cloud.
        radius: the largest distance of a point to its nearest landmark.
        cocycles: of each interval, rows (landmark i, landmark j, value modulo `PRIME`); empty unless asked for.
    """

    intervals: np.ndarray
    landmarks: np.ndarray
    radius: float
    cocycles: list[np.ndarray]

    @property
    def lifetimes(self) -> np.ndarray:
        """Death less birth, (L,), largest first."""
        return np.asarray(self.intervals[:, 1] - self.intervals[:, 0])


def landmarks(points: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Points far from one another: a random first one, then always the point farthest from those chosen.

    Returns:
        Their numbers, at most `count` and no duplicates, and the largest distance of a point to its nearest landmark.

    Source: T. Gonzalez, Clustering to minimize the maximum intercluster distance, 1985; V. de Silva and G. Carlsson,
    Topological estimation using witness complexes, 2004 (maxmin).

    Example:
        >>> chosen, radius = landmarks(np.array([[0.0], [1.0], [1.0], [4.0]]), 3)
        >>> len(chosen), radius
        (3, 0.0)
    """
    chosen = [int(np.random.default_rng(seed).integers(len(points)))]
    squared = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count and squared.max() > 0:
        chosen.append(int(squared.argmax()))
        np.minimum(squared, ((points - points[chosen[-1]]) ** 2).sum(1), out=squared)
    return np.array(chosen), float(np.sqrt(squared.max()))


def loops(points: np.ndarray, count: int = LANDMARKS, seed: int = 0, cocycles: bool = False) -> Loops:
    """The first persistent homology of the Vietoris-Rips complex of `count` landmarks, over the field of 47 elements.

    A loop is born at the distance at which its points are joined and dies at the one at which triangles fill it: a
    circle of radius r, densely sampled, lives from 0 to sqrt(3) r.

    Args:
        points: (N, d), finite, at least one.
        seed: of the first landmark.

    Raises:
        DataError: no point, or NaN.
        UnsupportedError: ripser is not installed.

    Source: H. Edelsbrunner, D. Letscher, A. Zomorodian, Topological persistence and simplification, 2002; computed by
    Ripser (U. Bauer, 2021).

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        >>> found = loops(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        >>> found.intervals.round(2).tolist()
        [[0.05, 1.73]]
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or not len(points):
        raise DataError(f"loops: expected points (N, d), at least one, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise DataError(f"loops: {int((~np.isfinite(points)).any(1).sum())} points hold NaN or infinity")
    chosen, radius = landmarks(points, count, seed)
    found = rips(_distances(points[chosen]), cocycles)
    intervals = found["dgms"][1].astype(float).reshape(-1, 2)
    order = np.argsort(intervals[:, 0] - intervals[:, 1], kind="stable")
    return Loops(intervals[order], chosen, radius, [found["cocycles"][1][k] for k in order] if cocycles else [])


def rips(distances: np.ndarray, cocycles: bool = False) -> dict[str, Any]:
    """Ripser's answer for a matrix of distances: `dgms` and `cocycles`, each by dimension 0 and 1.

    Raises:
        UnsupportedError: ripser is not installed.
    """
    try:
        from ripser import ripser
    except ImportError as error:
        raise UnsupportedError('persistent homology needs ripser: pip install "cnnaudit[topology]"') from error
    answer: dict[str, Any] = ripser(distances, maxdim=1, coeff=PRIME, do_cocycles=cocycles, distance_matrix=True)
    return answer


def _distances(points: np.ndarray) -> np.ndarray:
    """All distances, (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(points)))
