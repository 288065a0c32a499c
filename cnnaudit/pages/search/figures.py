"""The figure of a search: accuracy against parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnaudit.training.summary import SearchResult, Summary

#: The colors of a page (they follow its dark mode), and the same on white paper.
PAGE = {
    "ink": figures.INK,
    "faint": figures.FAINT,
    "tried": figures.CLEAN,
    "found": figures.DEFECT,
    "mark": figures.MARK,
}
PAPER = {"ink": "#202020", "faint": "#8a8a8a", "tried": "#0072b2", "found": "#d55e00", "mark": "#e69f00"}


def paint(
    found: SearchResult,
    published: tuple[int, float] | None,
    colors: Mapping[str, str] = PAGE,
    published_name: str = "published",
) -> Figure:
    """Validation accuracy of every network against its parameters, the median line and the quartile band.

    A dot is a network of the screening; the line steps through the medians of the architectures that were better, by
    training accuracy, than every smaller one; diamonds are the fresh networks of the confirmed one.

    Args:
        published: parameters and accuracy that the search is compared with.
        colors: `PAGE` or `PAPER`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.9))
    axes = figure.subplots()
    front = frontier(found)
    for summary in found.summaries:
        leading = summary in front
        _dots(axes, summary, colors["tried"], 0.8 if leading else 0.18)
    last = max((summary.parameters for summary in found.summaries), default=0)
    counts = [*(summary.parameters for summary in front), last]
    low, middle, high = (np.array([s.quartiles[k] for s in [*front, *front[-1:]]]) for k in range(3))
    if front:
        band = {"step": "post", "color": colors["tried"], "alpha": 0.16, "linewidth": 0}
        axes.fill_between(counts, low, high, label="quartiles of its seeds", **band)  # type: ignore[arg-type]
        axes.step(counts, middle, where="post", color=colors["tried"], linewidth=1.6, label="best so far: median seed")
    axes.axhline(found.target_accuracy, color=colors["ink"], linewidth=0.9, linestyle="--", label="accuracy asked for")
    if found.smallest is not None:
        fresh = found.smallest
        x = np.full(len(fresh.rows), fresh.parameters) * np.geomspace(0.975, 1.026, len(fresh.rows))
        y = [row.validation_accuracy for row in fresh.rows]
        label = f"fresh seeds of {fresh.parameters} parameters"
        axes.plot(x, y, "D", color=colors["found"], markersize=4, alpha=0.75, markeredgewidth=0, label=label)
    if published is not None:
        style = {"markersize": 15, "markeredgewidth": 0.8, "markeredgecolor": colors["ink"], "linestyle": "none"}
        axes.plot(*published, "*", color=colors["mark"], label=published_name, zorder=5, **style)  # type: ignore[arg-type]
    _scale(axes, found, published, colors)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8)
    return figure


def frontier(found: SearchResult) -> list[Summary]:
    """The architectures that were better, by training accuracy, than every smaller one, by parameters."""
    front: list[Summary] = []
    for summary in sorted(found.summaries, key=lambda s: (s.parameters, -s.best.train_accuracy)):
        if not front or summary.best.train_accuracy > front[-1].best.train_accuracy:
            front.append(summary)
    return front


def png(found: SearchResult, published: tuple[int, float] | None, published_name: str) -> bytes:
    """The figure as a PNG on white paper."""
    return figures.png(lambda: paint(found, published, PAPER, published_name), PAPER["ink"], PAPER["faint"])


def _dots(axes: Axes, summary: Summary, color: str, alpha: float) -> None:
    """One dot per seed, spread a little so that equal ones are seen."""
    count = len(summary.rows)
    x = summary.parameters * np.geomspace(0.985, 1.015, count)
    y = [row.validation_accuracy for row in summary.rows]
    axes.plot(x, y, "o", color=color, alpha=alpha, markersize=2.8, markeredgewidth=0)


def _scale(axes: Axes, found: SearchResult, published: tuple[int, float] | None, colors: Mapping[str, str]) -> None:
    """A logarithmic axis of parameters with plain numbers, an axis of accuracy."""
    from matplotlib.ticker import NullFormatter, NullLocator

    counts = [summary.parameters for summary in found.summaries] + ([published[0]] if published else [])
    low, high = min(counts, default=10), max(counts, default=1_000)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.15, high * 1.15)
    ticks = [base * 10**power for power in range(1, 8) for base in (1, 2, 5)]
    shown = [tick for tick in ticks if low / 1.15 <= tick <= high * 1.15]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters")
    axes.set_ylabel("validation accuracy")
    axes.set_ylim(top=1.02)
    axes.grid(color=colors["faint"], alpha=0.3, linewidth=0.6)
