"""What the page of a Mapper graph holds: arrays for its script, packed, and rows for its table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.pages.kernels.coloring import Coloring
from cnnaudit.report.words import number
from cnnaudit.topology import MapperGraph

SMALLEST, LARGEST = 3.5, 26.0  # radii of nodes
SHOWN = 12  # members whose kernels a tooltip shows
LISTED = 100  # members that a row of the table names


@dataclass(frozen=True)
class Members:
    """The points of the graph: kernels (N, h, w), names of their units, numbers of their inputs."""

    kernels: np.ndarray
    units: list[str]
    inputs: np.ndarray

    @property
    def common(self) -> str:
        """What all names of units begin with, up to an underscore."""
        low, high = min(self.units, default=""), max(self.units, default="")
        same = next((k for k, (a, b) in enumerate(zip(low, high)) if a != b), min(len(low), len(high)))
        return low[: low.rfind("_", 0, same) + 1]


def node_radii(graph: MapperGraph) -> np.ndarray:
    """Radii of the nodes: areas in proportion to their members, small ones enlarged so that they are seen."""
    sizes = np.array([len(members) for members in graph.nodes], dtype=float)
    return np.asarray(np.maximum(LARGEST * np.sqrt(sizes / sizes.max(initial=1)), SMALLEST))


def packed_data(
    graph: MapperGraph, members: Members, means: np.ndarray, values: Sequence[tuple[Coloring, np.ndarray]]
) -> dict[str, Any]:
    """What the script draws, arrays as base64 of little-endian numbers."""
    from cnnaudit.pages.kernels.graph_layout import layout

    radii = node_radii(graph)
    places = layout(radii, graph.edges)
    names = list(dict.fromkeys(members.units))
    place = {name: k for k, name in enumerate(names)}
    of_unit = np.array([place[name] for name in members.units], dtype=np.int64)
    shown = [_shown(members.kernels[own], mean) for own, mean in zip(graph.nodes, means)]
    chosen = [own[some] for own, some in zip(graph.nodes, shown)]
    units = [np.unique(of_unit[own], return_counts=True) for own in graph.nodes]
    height, width = members.kernels.shape[1:]
    return {
        "size": [height, width],
        "places": _packed(places, "<f4"),
        "radii": _packed(radii, "<f4"),
        "edges": _packed(graph.edges, "<u4"),
        "members": _packed([len(own) for own in graph.nodes], "<u4"),
        "means": _packed(grays(means), "u1"),
        "kernels": _packed(grays(members.kernels[_joined(chosen)]), "u1"),
        "shown": _packed(_starts(chosen), "<u4"),
        "shownUnit": _packed(of_unit[_joined(chosen)], "<u4"),
        "shownInput": _packed(members.inputs[_joined(chosen)], "<u4"),
        "unitStart": _packed(_starts([found for found, _ in units]), "<u4"),
        "unit": _packed(_joined([found for found, _ in units]), "<u4"),
        "unitCount": _packed(_joined([counts for _, counts in units]), "<u4"),
        "names": names,
        "common": len(members.common),
        "colorings": [_scale(coloring, of_nodes) for coloring, of_nodes in values],
        "palettes": {"line": _palette("cividis"), "circle": _palette("twilight")},
    }


def _shown(kernels: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Which members a tooltip shows: in equal steps from the nearest to the mean to the farthest."""
    order = np.argsort(((kernels - mean) ** 2).sum((1, 2)), kind="stable")
    return np.asarray(order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)])


def _scale(coloring: Coloring, of_nodes: np.ndarray) -> dict[str, Any]:
    """One entry of the legend, with the values of the nodes."""
    finite = of_nodes[np.isfinite(of_nodes)]
    low, high = (0.0, 2 * np.pi) if coloring.circular else (finite.min(initial=np.inf), finite.max(initial=-np.inf))
    known = bool(len(finite))
    return {
        "title": coloring.title,
        "circular": coloring.circular,
        "low": float(low) if known else 0.0,
        "high": float(high) if known else 1.0,
        "values": _packed(of_nodes, "<f4"),
    }


def table_rows(
    graph: MapperGraph, members: Members, means: np.ndarray, values: Sequence[tuple[Coloring, np.ndarray]]
) -> list[dict[str, Any]]:
    """The nodes as rows of a table, the largest first."""
    pictures = grays(means)
    order = sorted(range(len(graph.nodes)), key=lambda k: (-len(graph.nodes[k]), k))
    return [
        {
            "node": node,
            "members": len(graph.nodes[node]),
            "units": len({members.units[k] for k in graph.nodes[node]}),
            "picture": _png(pictures[node]),
            "values": [_value(coloring, float(of_nodes[node])) for coloring, of_nodes in values],
            "names": _names(members, graph.nodes[node]),
        }
        for node in order
    ]


def _value(coloring: Coloring, value: float) -> str:
    if np.isnan(value):
        return "none"
    return f"{np.degrees(value):.0f}°" if coloring.circular else number(value)


def _names(members: Members, own: np.ndarray) -> str:
    """Members as text, such as `3: 0, 2; 7: 1`, each unit with its input channels."""
    of_unit: dict[str, list[str]] = {}
    skipped = len(members.common)
    for k in own[:LISTED]:
        of_unit.setdefault(members.units[k][skipped:], []).append(str(members.inputs[k]))
    text = "; ".join(f"{unit}: {', '.join(inputs)}" for unit, inputs in of_unit.items())
    return text if len(own) <= LISTED else f"{text}; and {len(own) - LISTED:,} more"


def grays(kernels: np.ndarray) -> np.ndarray:
    """Kernels (n, h, w) as gray, 128 for 0 and 1 or 255 for the largest magnitude of each."""
    largest = np.abs(kernels).max(axis=(1, 2), keepdims=True, initial=1e-12)
    return np.asarray(128 + (127 * kernels / largest).round(), dtype=np.uint8)


def _png(gray: np.ndarray) -> str:
    import io

    from PIL import Image

    from cnnaudit.pages.atlas.pictures import inlined

    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, "PNG")
    return inlined(buffer.getvalue())


def _palette(name: str) -> list[str]:
    """64 colors of a Matplotlib map, as CSS."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(color) for color in colormaps[name](np.linspace(0, 1, 64))]


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _starts(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)])


def _packed(values: Any, dtype: str) -> str:
    return base64.b64encode(np.asarray(values).astype(dtype).tobytes()).decode("ascii")
