"""The shape of kernel space: its dense part, and the graph of its overlapping clusters."""

from __future__ import annotations

from cnnaudit.topology.density import Density, density_filter
from cnnaudit.topology.mapper import MapperGraph, mapper

__all__ = ["Density", "MapperGraph", "density_filter", "mapper"]
