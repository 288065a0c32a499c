"""The shape of kernel space: its dense part, its loops, and the graph of its overlapping clusters."""

from __future__ import annotations

from cnnaudit.topology._graph_loops import GraphLoops, graph_loops, loops_over_covers
from cnnaudit.topology._mapper import MapperGraph, mapper
from cnnaudit.topology._over_training import Course, over_training
from cnnaudit.topology._ring import Ring, ring
from cnnaudit.topology.circular import circular_coordinates
from cnnaudit.topology.dense import DenseGraph, MapperSettings, dense_graph
from cnnaudit.topology.density import Density, density_filter
from cnnaudit.topology.homology import Loops, loops
from cnnaudit.topology.slope import slope_direction

__all__ = [
    "Course",
    "DenseGraph",
    "Density",
    "GraphLoops",
    "Loops",
    "MapperGraph",
    "MapperSettings",
    "Ring",
    "circular_coordinates",
    "dense_graph",
    "density_filter",
    "graph_loops",
    "loops",
    "loops_over_covers",
    "mapper",
    "over_training",
    "ring",
    "slope_direction",
]
