"""The loops of a Mapper graph, over a range of covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit.topology._mapper import MapperGraph, mapper
from cnnaudit.topology.homology import rips

#: Bins per axis and overlap of the covers that a loop should outlast.
COVERS: tuple[tuple[int, float], ...] = tuple((bins, overlap) for bins in (4, 5, 6, 7) for overlap in (0.1, 0.2, 0.3))
MOST_NODES = 1_500  # of a graph whose longest loop is looked for


@dataclass(frozen=True)
class GraphLoops:
    """The loops of one Mapper graph.

    Attributes:
        bins, overlap: of its cover; 0 where the graph was given.
        betti: independent loops, edges - nodes + components; a triangle is one as well.
        longest: the longest loop that no shorter ones make up, in edges, rounded up to a multiple of 3; 0 where all
            loops are triangles or made up of triangles; -1 where the graph has too many nodes to tell.
    """

    nodes: int
    edges: int
    components: int
    betti: int
    longest: int
    bins: int = 0
    overlap: float = 0.0


def graph_loops(graph: MapperGraph, bins: int = 0, overlap: float = 0.0) -> GraphLoops:
    """Count the loops of a graph and measure the longest one.

    The longest loop of a shortest basis of loops is what the persistent homology of the graph's own metric ends with:
    in the Vietoris-Rips complex of the distances along edges, a loop of l edges is born at 1 and filled at l / 3,
    rounded up.

    Raises:
        UnsupportedError: ripser is not installed.

    Source: Ž. Virk, 1-dimensional intrinsic persistence of geodesic spaces, 2020.

    Example:
        >>> ring = np.array([[k, (k + 1) % 12] for k in range(12)])
        >>> found = graph_loops(MapperGraph([np.array([k]) for k in range(12)], ring, 12))
        >>> found.betti, found.longest
        (1, 12)
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    nodes, edges = len(graph.nodes), len(graph.edges)
    if not nodes:
        return GraphLoops(0, 0, 0, 0, 0, bins, overlap)
    start, end = graph.edges.T if edges else np.zeros((2, 0), dtype=int)
    joined = csr_array((np.ones(edges), (start, end)), shape=(nodes, nodes))
    components = int(connected_components(joined, directed=False)[0])
    longest = _longest(joined) if nodes <= MOST_NODES else -1
    return GraphLoops(nodes, edges, components, edges - nodes + components, longest, bins, overlap)


def _longest(joined: object) -> int:
    """Three times the last death in the homology of the distances along edges; 0 where no loop outlives its birth."""
    from scipy.sparse.csgraph import shortest_path

    intervals = rips(shortest_path(joined, directed=False, unweighted=True))["dgms"][1]
    return int(3 * intervals[:, 1].max()) if len(intervals) else 0


def loops_over_covers(
    points: np.ndarray,
    lens: np.ndarray,
    covers: Sequence[tuple[int, float]] = COVERS,
    eps: float = 0.5,
    min_samples: int = 3,
) -> list[GraphLoops]:
    """The loops of the Mapper graph of each cover, (bins, overlap).

    Raises:
        DataError: as `mapper`.
        UnsupportedError: ripser is not installed.
    """
    return [
        graph_loops(mapper(points, lens, bins, overlap, eps, min_samples), bins, overlap) for bins, overlap in covers
    ]


def stable_loop(found: Sequence[GraphLoops]) -> int:
    """The longest loop, in edges, that at least half of the graphs hold; 0 without one.

    Example:
        >>> stable_loop([GraphLoops(9, 9, 1, 1, 9), GraphLoops(6, 6, 1, 1, 6), GraphLoops(2, 1, 1, 0, 0)])
        6
    """
    lengths = sorted((graph.longest for graph in found), reverse=True)
    return max(lengths[(len(lengths) + 1) // 2 - 1], 0) if lengths else 0
