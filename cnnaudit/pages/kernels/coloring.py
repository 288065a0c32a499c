"""The quantities that the nodes of a Mapper graph of kernels can be colored by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.topology import MapperGraph, slope_direction


@dataclass(frozen=True)
class Coloring:
    """A quantity that the nodes can be colored by.

    Attributes:
        title: what it is, with its unit, such as `mean of lens 1`.
        values: (N,) of the points; a node shows the mean of its members. NaN: the point has none.
        circular: angles in radians, averaged on the circle and shown in degrees.
    """

    title: str
    values: np.ndarray
    circular: bool = False

    def of_nodes(self, graph: MapperGraph) -> np.ndarray:
        """(nodes,): the mean over each node's members; NaN where none has a value."""
        values = np.asarray(self.values, dtype=float)
        if values.shape != (graph.points,):
            raise DataError(f"{self.title}: expected a value for each of {graph.points} points, got {values.shape}")
        return np.array([_mean(values[members], self.circular) for members in graph.nodes], dtype=float)


def own_colorings(graph: MapperGraph, kernels: np.ndarray, means: np.ndarray) -> list[Coloring]:
    """Quantities of the nodes themselves, that every graph of kernels has."""
    norms = np.sqrt((kernels**2).sum((1, 2)))
    typical = np.array([norms[own].mean() for own in graph.nodes], dtype=float)
    alike = np.sqrt((means**2).sum((1, 2))) / np.maximum(typical, 1e-12)
    return [
        Coloring("direction in which the mean kernel grows", slope_direction(means), circular=True),
        Coloring("likeness of the members (1: all equal)", alike),
    ]


def _mean(values: np.ndarray, circular: bool) -> float:
    """The mean of what is finite, on the circle where it is of angles."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan")
    return float(np.angle(np.exp(1j * values).mean()) % (2 * np.pi)) if circular else float(values.mean())
