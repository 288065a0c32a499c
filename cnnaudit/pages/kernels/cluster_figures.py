"""Figures of the clusters of units: embedding, dendrogram, representative kernels, and the data against the null."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.colors import PAGE, Colors
from cnnaudit.units import UnitClusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.2
MOST_REPRESENTATIVES = 10
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")
LINES = ("-", (0, (3, 1)), (0, (1, 1)))  # of a dendrogram's groups, where they are more than the colors


def _axes(height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _color(colors: Colors, group: int) -> str:
    return colors.series[group % len(colors.series)]


def embedding_figure(found: UnitClusters, colors: Colors = PAGE) -> Figure:
    """The units in the plane, by group; a group differs in color and in marker."""
    figure, axes = _axes(3.6)
    size = float(np.clip(900 / len(found.units), 6, 36))
    for one in found.representatives:
        members = found.labels == one.cluster
        axes.scatter(
            found.embedding[members, 0],
            found.embedding[members, 1],
            s=size,
            marker=MARKERS[one.cluster % len(MARKERS)],
            color=_color(colors, one.cluster),
            alpha=0.75,
            linewidths=0,
            label=f"group {one.cluster} ({one.size})",
        )
    axes.set(xticks=[], yticks=[], xlabel=f"{found.embedded_by}: distances have no unit")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside upper left", ncols=3, fontsize=8, handletextpad=0.2, columnspacing=1)
    return figure


def dendrogram_figure(found: UnitClusters, colors: Colors = PAGE) -> Figure:
    """The Ward dendrogram with the cut; a group has the color of the spectral one that it shares most units with."""
    from matplotlib.collections import LineCollection

    figure, axes = _axes(2.8)
    n = len(found.linkage) + 1
    segments, shades, lines = [], [], []
    at, of = _places(found), list(found.dendrogram)
    height = [0.0] * n
    for row, (left, right, top, _) in enumerate(found.linkage):
        a, b = int(left), int(right)
        segments.append([(at[a], height[a]), (at[a], top), (at[b], top), (at[b], height[b])])
        shades.append(_color(colors, of[a]) if top < found.cut else colors.faint)
        lines.append(LINES[of[a] // len(colors.series) % len(LINES)] if top < found.cut else "-")
        height.append(float(top))
        at[n + row] = (at[a] + at[b]) / 2
        of.append(of[a])
    axes.add_collection(LineCollection(segments, colors=shades, linestyles=lines, linewidths=0.9))
    axes.set(xlim=(-1, n), ylim=(0, max(float(found.linkage[:, 2].max(initial=0)), found.cut, 1e-9) * 1.04))
    if found.clusters > 1:
        axes.axhline(
            found.cut, color=colors.ink, linewidth=1.1, linestyle="--", label=f"cut into {found.clusters} groups"
        )
        figure.legend(loc="outside upper left", fontsize=8)
    axes.set(xticks=[], xlabel=f"{n} units", ylabel="distance at which they merge")
    return figure


def _places(found: UnitClusters) -> dict[int, float]:
    """Where each leaf of the dendrogram stands, so that no branches cross."""
    from scipy.cluster.hierarchy import leaves_list

    order = leaves_list(found.linkage) if len(found.linkage) else [0]
    return {int(leaf): float(place) for place, leaf in enumerate(order)}


def count_figure(found: UnitClusters, colors: Colors = PAGE) -> Figure:
    """By how much less k clusters spread than those of the null, with the range that holds 99 % of its draws."""
    count = found.count
    figure, axes = _axes(2.7)
    null = 100 * (1 - np.exp(count.null - count.null.mean(axis=0)))
    low, high = np.quantile(null, [0.005, 0.995], axis=0)
    axes.fill_between(
        count.numbers, low, high, color=colors.series[0], alpha=0.25, linewidth=0, label="no clusters: 99 % of draws"
    )
    axes.plot(
        count.numbers,
        100 * (1 - np.exp(-count.gap)),
        "o-",
        color=colors.series[1],
        linewidth=1.6,
        markersize=4,
        label="this layer",
    )
    axes.axhline(0, color=colors.faint, linewidth=0.8)
    axes.axvline(
        found.supported,
        color=colors.ink,
        linestyle="--",
        linewidth=1.1,
        label=f"supported: {found.supported}{' or more' if count.saturated else ''}",
    )
    axes.set(xlabel="clusters", ylabel="less spread than chance, %", xticks=count.numbers)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8)
    return figure


def representatives_figure(found: UnitClusters, colors: Colors = PAGE) -> Figure:
    """The averaged kernel of the unit that stands for each group, with the sign that most members share."""
    from matplotlib.figure import Figure

    shown = found.representatives[:MOST_REPRESENTATIVES]
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    tall, wide = found.size
    figure = Figure(
        figsize=(WIDTH if columns > 2 else 3.0, 0.85 + rows * (0.55 + WIDTH / max(columns, 3) * tall / wide))
    )
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False))
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    largest = max(float(np.abs(one.kernel).max()) for one in shown) or 1.0
    for axes, one in zip(panels.flat, shown):
        picture = axes.imshow(one.kernel, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        _marks(axes, one.kernel, one.signs, largest)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(f"group {one.cluster}: {one.size}\nunit {one.unit}", fontsize=8)
        matching = len(one.candidates)
        axes.set_xlabel(f"{matching} with all\nthese signs", fontsize=7)
    bar = figure.colorbar(
        picture,
        ax=panels.ravel().tolist(),
        label="weight, mean over inputs",
        shrink=0.9 if rows > 1 else 0.75,
        aspect=12,
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=4)
    figure.supxlabel(
        "colors: the unit that is named, less its mean\n+ and −: the sign of most units of its group", fontsize=7
    )
    return figure


def _marks(axes: Axes, kernel: np.ndarray, signs: np.ndarray, largest: float) -> None:
    """The common sign in each cell, dark on pale cells and pale on dark ones."""
    for (row, column), sign in np.ndenumerate(signs):
        shade = "#fefefe" if abs(kernel[row, column]) > 0.6 * largest else "#0f0f0f"
        axes.text(
            column,
            row,
            "+" if sign > 0 else "−",
            ha="center",
            va="center",
            color=shade,
            fontsize=9 if signs.size < 10 else 7,
        )
