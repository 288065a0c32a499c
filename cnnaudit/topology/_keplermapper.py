"""Mapper by KeplerMapper: the graph that ours is held against."""

from __future__ import annotations

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.topology._mapper import MapperGraph


def keplermapper(
    points: np.ndarray, lens: np.ndarray, bins: int = 5, overlap: float = 0.1, eps: float = 0.5, min_samples: int = 3
) -> MapperGraph:
    """The graph of `mapper`, by the library kmapper with scikit-learn's DBSCAN.

    Raises:
        UnsupportedError: kmapper is not installed.

    Source: H. van Veen, N. Saul, D. Eargle, S. Mangham, Kepler Mapper, Journal of Open Source Software, 2019.
    """
    try:
        import kmapper
    except ImportError as error:
        raise UnsupportedError("--mapper kmapper needs KeplerMapper: pip install kmapper") from error
    from sklearn.cluster import DBSCAN

    found = kmapper.KeplerMapper(verbose=0).map(
        lens, points, clusterer=DBSCAN(eps=eps, min_samples=min_samples), cover=kmapper.Cover(bins, overlap)
    )
    number = {name: k for k, name in enumerate(found["nodes"])}
    edges = sorted((number[a], number[b]) for a, ends in found["links"].items() for b in ends)
    nodes = [np.sort(np.asarray(members, dtype=np.int64)) for members in found["nodes"].values()]
    return MapperGraph(nodes, np.asarray(edges, dtype=np.int64).reshape(-1, 2), len(points))
