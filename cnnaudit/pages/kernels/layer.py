"""What the report on kernels finds out about a convolution: its dense kernels, their graph and ring, its groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.topology import DenseGraph, MapperSettings, Ring, dense_graph, ring
from cnnaudit.topology.dense import PUBLISHED
from cnnaudit.units import LayerKernels, normalized

if TYPE_CHECKING:
    from cnnaudit.units import UnitClusters

DRAWS, RESAMPLES = 3, 19  # of the ring: p is at least 1 / 20


@dataclass(frozen=True, eq=False)
class Examined:
    """All that was found of a layer; what could not be found has its reason under the same name.

    Attributes:
        constant: number of kernels that have no shape.
        dense: the graph of the dense kernels; its rows are numbers among `kernels.each()`.
    """

    kernels: LayerKernels
    constant: int
    dense: DenseGraph | None
    ring: Ring | None
    clusters: UnitClusters | None
    reasons: dict[str, str]


def examine(
    kernels: LayerKernels, seed: int = 0, clusters: int | None = None, settings: MapperSettings = PUBLISHED
) -> Examined:
    """Density filter, Mapper graph, ring and unit clusters of a layer of spatial kernels.

    Args:
        clusters: groups that the units are put into; None: as `units.cluster` chooses.
        settings: of the Mapper graph.

    Example:
        >>> layer = LayerKernels("conv1", np.random.default_rng(0).normal(size=(6, 1, 5, 5)).astype(np.float32))
        >>> examine(layer).reasons["dense"]
        'a density needs 40 kernels that are not constant, the layer has 6'
    """
    from cnnaudit.units import cluster

    shapes, rows = normalized(kernels.each().astype(np.float64), "norm")

    def dense() -> DenseGraph:
        found = dense_graph(shapes, min(kernels.size) >= 5, settings)
        return replace(found, rows=rows[found.rows])

    found: dict[str, object] = {}
    reasons: dict[str, str] = {}
    parts: dict[str, Callable[[], object]] = {
        "dense": dense,
        "ring": lambda: ring(kernels.each(), draws=DRAWS, resamples=RESAMPLES, seed=seed),
        "clusters": lambda: cluster(kernels, clusters, seed=seed),
    }
    for name, part in parts.items():
        try:
            found[name] = part()
        except (DataError, UnsupportedError) as error:
            found[name], reasons[name] = None, str(error)
    constant = kernels.units * kernels.inputs - len(rows)
    return Examined(kernels, constant, reasons=reasons, **found)  # type: ignore[arg-type]
