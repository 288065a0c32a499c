"""Mapper: the shape of a cloud of points as a graph of overlapping clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.topology.dbscan import dbscan


@dataclass(frozen=True)
class MapperGraph:
    """The graph of `mapper`.

    Attributes:
        nodes: sorted point numbers of each cluster; boxes in lexicographic order, clusters by their first core point.
        edges: (E, 2) pairs of node numbers, ascending, of clusters that share a point.
        points: how many points there were.
    """

    nodes: list[np.ndarray]
    edges: np.ndarray
    points: int


def mapper(
    points: np.ndarray,
    lens: np.ndarray,
    bins: int | Sequence[int] = 5,
    overlap: float | Sequence[float] = 0.1,
    eps: float = 0.5,
    min_samples: int = 3,
) -> MapperGraph:
    """Cover the lens with overlapping boxes, cluster the points over each by DBSCAN, join clusters that share a point.

    Deterministic; the nodes and edges are those of KeplerMapper with scikit-learn's DBSCAN. All noise gives an empty
    graph, which is a result. Memory grows with the points and the pairs within eps, 48 per point at most.

    Args:
        points: (N, d): what is clustered.
        lens: (N, a): what is covered, for example three principal components of the points.
        bins, overlap: of the cover, per axis; see `cover`.
        eps, min_samples: of DBSCAN; see `dbscan`.

    Raises:
        DataError: NaN, points and lens of different lengths, or a setting out of range.

    Source: G. Singh, F. Mémoli, G. Carlsson, Topological methods for the analysis of high dimensional data sets and 3D
    object recognition, 2007.

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> graph = mapper(circle, circle, bins=3, overlap=0.2, eps=0.2)
        >>> len(graph.nodes) == len(graph.edges)  # a ring
        True
    """
    points, lens = np.asarray(points, dtype=float), np.asarray(lens, dtype=float)
    if points.ndim != 2 or lens.ndim != 2 or len(points) != len(lens):
        raise DataError(f"mapper: expected points (N, d) and a lens (N, a), got {points.shape} and {lens.shape}")
    if not np.isfinite(points).all():
        raise DataError(
            f"mapper: {int((~np.isfinite(points)).any(1).sum())} points hold NaN or infinity; leave them out"
        )
    if eps <= 0 or min_samples < 1:
        raise DataError(f"mapper: eps must be positive and min_samples at least 1, got {eps} and {min_samples}")
    nodes = dbscan(points, cover(lens, bins, overlap), eps, min_samples)
    return MapperGraph(nodes, _nerve(nodes, len(points)), len(points))


def _nerve(nodes: Sequence[np.ndarray], points: int) -> np.ndarray:
    """Pairs of nodes that share a point, by the product of the incidence matrix with its transpose."""
    from scipy.sparse import csr_array

    if not nodes:
        return np.empty((0, 2), dtype=np.int64)
    ends = np.cumsum([0, *map(len, nodes)])
    incidence = csr_array((np.ones(ends[-1], dtype=np.int32), np.concatenate(nodes), ends), shape=(len(nodes), points))
    shared = (incidence @ incidence.T).tocoo()
    pairs = np.stack([shared.row, shared.col], axis=1).astype(np.int64)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def cover(lens: np.ndarray, bins: int | Sequence[int], overlap: float | Sequence[float]) -> list[np.ndarray]:
    """The points in each box that holds any, boxes in lexicographic order, points ascending.

    Along one axis of range [a, b], `bins` centers stand at a + (b - a) (2k + 1) / (2 bins), and each interval reaches
    (b - a) / (2 bins (1 - overlap)) to either side, ends included: neighbors share `overlap` of their length.

    Args:
        lens: (N, d); constant axes have one place that every interval holds.
        bins: intervals per axis, one number or d.
        overlap: share of an interval's length in [0, 1), one number or d.

    Raises:
        DataError: NaN in the lens, or bins or an overlap out of range.

    Source: G. Singh, F. Mémoli, G. Carlsson, Topological methods for the analysis of high dimensional data sets, 2007;
    overlap as in arXiv 1706.00204.

    Example:
        >>> [box.tolist() for box in cover(np.array([[0.0], [0.5], [1.0]]), bins=2, overlap=0.2)]
        [[0, 1], [1, 2]]
    """
    lens = np.asarray(lens, dtype=float)
    _require(lens, bins, overlap)
    axes = lens.shape[1]
    points, boxes = np.arange(len(lens)), np.zeros(len(lens), dtype=np.int64)
    for axis, count, share in zip(range(axes), np.broadcast_to(bins, axes), np.broadcast_to(overlap, axes)):
        first, last = _intervals(lens[:, axis], int(count), float(share))
        copies = (last - first + 1)[points]
        before = np.cumsum(copies) - copies
        step = np.arange(copies.sum()) - np.repeat(before, copies)
        points, boxes = np.repeat(points, copies), np.repeat(boxes * int(count), copies)
        boxes += first[points] + step
    order = np.argsort(boxes, kind="stable")
    points, boxes = points[order], boxes[order]
    return np.split(points, np.flatnonzero(np.diff(boxes)) + 1) if len(points) else []


def _intervals(values: np.ndarray, bins: int, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last interval that holds each value; they are contiguous, since both ends ascend."""
    low, high = values.min(), values.max()
    inset = (high - low - (bins - 1) / bins * (high - low)) / 2
    radius = (high - low) / (2 * bins * (1 - overlap))
    centers = np.linspace(low + inset, high - inset, num=bins)
    first = np.searchsorted(centers + radius, values, side="left")
    last = np.searchsorted(centers - radius, values, side="right") - 1
    return first, np.maximum(last, first - 1)


def _require(lens: np.ndarray, bins: int | Sequence[int], overlap: float | Sequence[float]) -> None:
    if lens.ndim != 2 or not lens.size:
        raise DataError(f"cover: expected a lens of shape (points, axes) with at least one point, got {lens.shape}")
    if not np.isfinite(lens).all():
        raise DataError(f"cover: the lens has {int((~np.isfinite(lens)).any(1).sum())} points with NaN or infinity")
    if np.any(np.asarray(bins) < 1):
        raise DataError(f"cover: bins must be at least 1, got {bins}")
    if np.any(np.asarray(overlap) < 0) or np.any(np.asarray(overlap) >= 1):
        raise DataError(f"cover: overlap must be in [0, 1), got {overlap}")
