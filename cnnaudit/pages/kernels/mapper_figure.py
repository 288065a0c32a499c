"""The graph of Mapper simplified to a figure: each node is the mean of its kernels, as large as it has members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.report import figures
from cnnaudit.report.words import plural
from cnnaudit.topology import MapperGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60  # nodes of a legible figure
WIDTH = 8.4
TALLEST = 7.0
SIDES = (16.0, 34.0)  # of the squares, in points
LABEL = 8.0  # height of the number under a node, in points


def largest_nodes(graph: MapperGraph, most: int = MOST) -> np.ndarray:
    """Ascending numbers of the nodes that a figure shows: of the components with most members, the largest nodes.

    Example:
        >>> graph = MapperGraph([np.arange(3), np.arange(2, 9), np.arange(9, 11)], np.array([[0, 1]]), 11)
        >>> largest_nodes(graph, most=2).tolist()
        [0, 1]
    """
    sizes = np.array([len(members) for members in graph.nodes])
    label = _components(graph)
    whole = np.bincount(label, sizes) if len(sizes) else np.empty(0)
    order = sorted(range(len(sizes)), key=lambda k: (-whole[label[k]], label[k], -sizes[k], k))
    return np.sort(np.array(order[:most], dtype=int))


def caption(graph: MapperGraph, most: int = MOST) -> str:
    """What the figure shows and what it leaves out, in sentences."""
    text = (
        "Each square is the mean kernel of a node (black negative, gray 0, white positive, on its own scale), its side "
        "the larger the more members it has (the number under it); lines join nodes that share kernels."
    )
    left = len(graph.nodes) - most
    if left <= 0:
        return text
    return f"{text} The {most} largest nodes of the largest components are shown, {plural(left, 'node')} left out."


def mapper_figure(
    graph: MapperGraph, kernels: np.ndarray, places: np.ndarray | None = None, most: int = MOST
) -> Figure:
    """The figure, in the colors of `report.figures`; an empty graph says so.

    Args:
        kernels: (N, h, w) of the graph's points.
        places: of all nodes, as made by `graph_layout.layout`; None: made here.
        most: nodes that are shown, see `largest_nodes`.

    Example:
        >>> from cnnaudit.topology import mapper
        >>> kernels = np.random.default_rng(0).normal(size=(60, 3, 3))
        >>> graph = mapper(kernels.reshape(60, 9), kernels[:, 0, :2], bins=2, eps=3)
        >>> mapper_figure(graph, kernels).axes[0].get_aspect()
        1.0
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if not graph.nodes:
        axes.text(0.5, 0.5, "The graph has no node.", ha="center", va="center", transform=axes.transAxes)
        return figure
    kept = largest_nodes(graph, most)
    sides = _sides(graph, kept)
    where = _places(graph, kept, sides, places)
    edges = graph.edges[np.isin(graph.edges, kept).all(1)]
    _draw(figure, where, sides, np.searchsorted(kept, edges))
    paint_kernels(axes, where, sides, [kernels[graph.nodes[node]].mean(0) for node in kept])
    paper = {"facecolor": figures.CARD, "edgecolor": "none", "pad": 0.4}  # so that no line crosses a number
    for (x, y), side, node in zip(where, sides, kept):
        members = f"{len(graph.nodes[node]):,}"
        axes.text(x, y + side / 2 + 1.5, members, ha="center", va="top", fontsize=6, bbox=paper)
    return figure


def _components(graph: MapperGraph) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, ends = len(graph.nodes), graph.edges
    joined = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return np.asarray(connected_components(joined, directed=False)[1])


def _sides(graph: MapperGraph, kept: np.ndarray) -> np.ndarray:
    """Sides of the squares in points."""
    sizes = np.sqrt([len(graph.nodes[node]) for node in kept])
    return np.asarray(SIDES[0] + (SIDES[1] - SIDES[0]) * sizes / sizes.max())


def _places(graph: MapperGraph, kept: np.ndarray, sides: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Places in points of the nodes that are shown: where they stand in the whole graph, moved together."""
    from cnnaudit.pages.kernels.graph_layout import layout, moved_together
    from cnnaudit.pages.kernels.mapper_data import node_radii

    radii = (sides * np.sqrt(2) + LABEL) / 2  # a square and its number, in a circle
    if places is None:
        places = layout(node_radii(graph), graph.edges)
    return moved_together(places[kept], radii, _components(graph)[kept])


def _draw(figure: Figure, where: np.ndarray, sides: np.ndarray, edges: np.ndarray) -> None:
    """The edges, and the axes in points, no larger than the page."""
    from matplotlib.collections import LineCollection

    axes = figure.axes[0]
    low, high = where.min(0) - sides.max(), where.max(0) + sides.max()
    width, height = high - low
    figure.set_size_inches(WIDTH, float(np.clip(height / 72, 1, TALLEST)))
    spare = max(0.0, (72 * WIDTH - width) / 2)
    axes.set(xlim=(low[0] - spare, high[0] + spare), ylim=(high[1], low[1]), aspect="equal")
    axes.add_collection(LineCollection(list(where[edges]), colors=figures.FAINT, linewidths=0.8, zorder=1))


def paint_kernels(axes: Axes, where: np.ndarray, sides: Sequence[float] | np.ndarray, means: list[np.ndarray]) -> None:
    """Kernels as vector graphics around places in the axes' units, down being up where the axes run so.

    One gray square per weight; each kernel on its own scale, black negative, gray 0, white positive.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Rectangle

    corners, grays = [], []
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    down = np.array([1, 1 if axes.yaxis_inverted() else -1])
    for place, side, mean in zip(where, sides, means):
        pixel, shape = side / max(mean.shape), np.array(mean.shape[::-1])
        top_left = place - down * pixel * shape / 2
        scale = max(float(np.abs(mean).max()), 1e-12)
        for (row, column), value in np.ndenumerate(mean):
            corners.append(top_left + down * pixel * (unit + np.array([column, row])))
            grays.append(str(0.5 + 0.5 * float(value) / scale))
        frame = Rectangle(
            tuple(top_left), *(down * pixel * shape), fill=False, edgecolor=figures.INK, linewidth=0.6, zorder=3
        )
        axes.add_patch(frame)
    squares = PolyCollection(corners, facecolors=grays, edgecolors=grays, linewidths=0.2, zorder=2)
    axes.add_collection(squares)
