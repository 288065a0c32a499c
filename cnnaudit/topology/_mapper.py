"""Mapper: the shape of a cloud of points as a graph of overlapping clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError


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
        eps, min_samples: of DBSCAN; see `density_clusters`.

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
    from cnnaudit.topology.cover import cover
    from cnnaudit.topology.dbscan import density_clusters

    points, lens = np.asarray(points, dtype=float), np.asarray(lens, dtype=float)
    if points.ndim != 2 or lens.ndim != 2 or len(points) != len(lens):
        raise DataError(f"mapper: expected points (N, d) and a lens (N, a), got {points.shape} and {lens.shape}")
    if not np.isfinite(points).all():
        raise DataError(
            f"mapper: {int((~np.isfinite(points)).any(1).sum())} points hold NaN or infinity; leave them out"
        )
    if eps <= 0 or min_samples < 1:
        raise DataError(f"mapper: eps must be positive and min_samples at least 1, got {eps} and {min_samples}")
    nodes = density_clusters(points, cover(lens, bins, overlap), eps, min_samples)
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
