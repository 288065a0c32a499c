"""The dense part of a cloud of kernels and its Mapper graph, with the published settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.topology._keplermapper import keplermapper
from cnnaudit.topology._mapper import MapperGraph, mapper
from cnnaudit.topology.density import density_filter

NEIGHBORS, SHARE = 100, 0.3  # of the density filter; fewer neighbors where there are fewer than 4,000 kernels
BINS, OVERLAP, EPS, SAMPLES = 5, 0.1, 0.5, 3  # of Mapper, as published but for the scale of the kernels
WIDE_EPS = 2.0  # published for 5x5 kernels of variance 1
FEWEST = 40  # kernels; of fewer none is dense


@dataclass(frozen=True)
class MapperSettings:
    """How the graph of the dense kernels is made.

    Attributes:
        bins, overlap: of the cover, per lens; `eps`, `min_samples`: of DBSCAN, on kernels of norm 1.
        crop: the share of the kernels that the density filter keeps, above 0 and at most 1.
        by: `cnnaudit`, or `kmapper`: the same graph by KeplerMapper, several times as slow.
    """

    bins: int = BINS
    overlap: float = OVERLAP
    eps: float = EPS
    min_samples: int = SAMPLES
    crop: float = SHARE
    by: Literal["cnnaudit", "kmapper"] = "cnnaudit"

    def graph(self, points: np.ndarray, lens: np.ndarray, eps: float | None = None) -> MapperGraph:
        """The graph of points (n, d) over lenses (n, a); `eps` in place of its own."""
        build = keplermapper if self.by == "kmapper" else mapper
        return build(points, lens, self.bins, self.overlap, self.eps if eps is None else eps, self.min_samples)


PUBLISHED = MapperSettings()


@dataclass(frozen=True, eq=False)
class DenseGraph:
    """The dense kernels of a cloud and their graph.

    Attributes:
        rows: their numbers in the cloud.
        shapes: (n, d), of mean 0 and norm 1.
        lens: (n, 3), their first principal components.
        graph: of Mapper.
        at_variance_one: the graph with the published eps on kernels of variance 1, their published scale.
        settings: of both graphs.
    """

    rows: np.ndarray
    shapes: np.ndarray
    lens: np.ndarray
    graph: MapperGraph
    at_variance_one: MapperGraph
    settings: MapperSettings

    @property
    def published(self) -> tuple[int, float]:
        """The nodes at variance 1, and the share of these kernels that is in any."""
        return len(self.at_variance_one.nodes), covered(self.at_variance_one) / len(self.rows)


def dense_graph(shapes: np.ndarray, wide: bool = False, settings: MapperSettings = PUBLISHED) -> DenseGraph:
    """The densest kernels, and the Mapper graph over their first three principal components.

    The density is the distance to the 100th nearest neighbor (of fewer than 4,000 kernels, to the n/40th). Unless the
    settings say otherwise 30 % are kept; five bins a lens with 10 % overlap; DBSCAN with eps .5 and 3 samples.

    Args:
        shapes: (n, d), kernels of mean 0 and Euclidean norm 1, as `units.normalized(…, "norm")` gives them.
        wide: 5x5 kernels or larger, whose published eps at variance 1 is 2.

    Raises:
        UnsupportedError: fewer than 40 kernels.

    Source: Garriga 2019, section 4.2.3; Carlsson and Gabrielsson, Topological approaches to deep learning, 2018.

    Example:
        >>> cloud = np.random.default_rng(0).normal(size=(200, 9))
        >>> cloud -= cloud.mean(1, keepdims=True)
        >>> found = dense_graph(cloud / np.linalg.norm(cloud, axis=1, keepdims=True))
        >>> len(found.rows), found.lens.shape
        (60, (60, 3))
    """
    if len(shapes) < FEWEST:
        raise UnsupportedError(f"a density needs {FEWEST} kernels that are not constant, the layer has {len(shapes)}")
    rows = density_filter(shapes, neighbors(len(shapes)), settings.crop).kept
    shapes = shapes[rows]
    lens = _components(shapes)
    graph = settings.graph(shapes, lens)
    scale = float(np.sqrt(shapes.shape[1]))
    other = settings.graph(scale * shapes, scale * lens, WIDE_EPS if wide else EPS)
    return DenseGraph(rows, shapes, lens, graph, other, settings)


def neighbors(kernels: int) -> int:
    """The neighbor that the density of so many kernels is measured by.

    Example:
        >>> neighbors(400), neighbors(37_000)
        (10, 100)
    """
    return min(NEIGHBORS, kernels // FEWEST)


def covered(graph: MapperGraph) -> int:
    """How many points are in any node.

    Example:
        >>> covered(MapperGraph([np.array([0, 1]), np.array([1, 2])], np.array([[0, 1]]), 5))
        3
    """
    return len(np.unique(np.concatenate(graph.nodes))) if graph.nodes else 0


def _components(shapes: np.ndarray) -> np.ndarray:
    """The first three principal components, each with the sign that makes its largest weight positive."""
    centered = shapes - shapes.mean(0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, : -min(3, shapes.shape[1]) - 1 : -1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.asarray(centered @ axes)
