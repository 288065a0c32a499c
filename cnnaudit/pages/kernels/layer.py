"""What the report on kernels finds out about a convolution: its dense kernels, their graph and ring, its groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.topology import MapperGraph, Ring, density_filter, mapper, ring
from cnnaudit.units import LayerKernels, normalized

if TYPE_CHECKING:
    from cnnaudit.units import UnitClusters

NEIGHBORS, SHARE = 100, 0.3  # of the density filter; fewer neighbors where there are fewer than 4,000 kernels
BINS, OVERLAP, EPS, SAMPLES = 5, 0.1, 0.5, 3  # of Mapper, as published but for the scale of the kernels
WIDE_EPS = 2.0  # published for 5x5 kernels of variance 1
DRAWS, RESAMPLES = 3, 19  # of the ring: p is at least 1 / 20
FEWEST = 40  # kernels; of fewer none is dense


@dataclass(frozen=True, eq=False)
class Kept:
    """The dense kernels of a layer and their graph.

    Attributes:
        rows: their numbers among `LayerKernels.each()`.
        shapes: (n, d), of mean 0 and norm 1.
        lens: (n, 3), their first principal components.
        graph: of Mapper.
        published: the nodes at variance 1, as published, and the share of these kernels that is in any.
        constant: kernels of the layer that have no shape.
    """

    rows: np.ndarray
    shapes: np.ndarray
    lens: np.ndarray
    graph: MapperGraph
    published: tuple[int, float]
    constant: int


@dataclass(frozen=True, eq=False)
class Examined:
    """All that was found of a layer; what could not be found has its reason under the same name."""

    kernels: LayerKernels
    kept: Kept | None
    ring: Ring | None
    clusters: UnitClusters | None
    reasons: dict[str, str]


def examine(kernels: LayerKernels, seed: int = 0) -> Examined:
    """Density filter, Mapper graph, ring and unit clusters of a layer of spatial kernels.

    Example:
        >>> layer = LayerKernels("conv1", np.random.default_rng(0).normal(size=(6, 1, 5, 5)).astype(np.float32))
        >>> examine(layer).reasons["kept"]
        'a density needs 40 kernels that are not constant, the layer has 6'
    """
    from cnnaudit.units import cluster

    found: dict[str, object] = {}
    reasons: dict[str, str] = {}
    parts: dict[str, Callable[[], object]] = {
        "kept": lambda: dense(kernels),
        "ring": lambda: ring(kernels.each(), draws=DRAWS, resamples=RESAMPLES, seed=seed),
        "clusters": lambda: cluster(kernels, seed=seed),
    }
    for name, part in parts.items():
        try:
            found[name] = part()
        except (DataError, UnsupportedError) as error:
            found[name], reasons[name] = None, str(error)
    return Examined(kernels, reasons=reasons, **found)  # type: ignore[arg-type]


def dense(kernels: LayerKernels) -> Kept:
    """The dense kernels of a layer and their Mapper graph.

    Raises:
        UnsupportedError: fewer than 40 kernels that are not constant.
    """
    shapes, rows = normalized(kernels.each().astype(np.float64), "norm")
    if len(rows) < FEWEST:
        raise UnsupportedError(f"a density needs {FEWEST} kernels that are not constant, the layer has {len(rows)}")
    kept = density_filter(shapes, min(NEIGHBORS, len(rows) // FEWEST), SHARE).kept
    constant = kernels.units * kernels.inputs - len(rows)
    shapes, rows = shapes[kept], rows[kept]
    lens = _components(shapes)
    graph = mapper(shapes, lens, BINS, OVERLAP, EPS, SAMPLES)
    scale = float(np.sqrt(shapes.shape[1]))
    wide = WIDE_EPS if min(kernels.size) >= 5 else EPS
    other = mapper(scale * shapes, scale * lens, BINS, OVERLAP, wide, SAMPLES)
    return Kept(rows, shapes, lens, graph, (len(other.nodes), inside(other) / len(rows)), constant)


def inside(graph: MapperGraph) -> int:
    """How many points are in any node."""
    return len(np.unique(np.concatenate(graph.nodes))) if graph.nodes else 0


def _components(shapes: np.ndarray) -> np.ndarray:
    """The first three principal components, each with the sign that makes its largest weight positive."""
    centered = shapes - shapes.mean(0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, : -min(3, shapes.shape[1]) - 1 : -1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.asarray(centered @ axes)
