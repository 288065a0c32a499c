"""The ring of a layer's kernels: its persistence diagram, and its course over a training, with what the nulls reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnaudit.topology import Course, Ring

QUANTILE = 0.95
COLORS = (figures.LINE_COLORS[0], *figures.LINE_COLORS[2:4])


def persistence_figure(ring: Ring) -> Figure:
    """Births and deaths of the loops; under each dashed line, what a null reaches in 95 % of its clouds.

    Example:
        >>> from cnnaudit.topology import ring
        >>> from cnnaudit.topology.synthetic_ring import turned_edges
        >>> found = ring(turned_edges(400, 4.0, np.random.default_rng(0)), draws=1, resamples=9, describe=False)
        >>> len(persistence_figure(found).axes)
        1
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0, 4.4))
    axes = figure.subplots()
    last = 1.08 * max(float(ring.intervals.max(initial=1.0)), np.sqrt(3))
    ends = np.array([0.0, last])
    axes.plot(ends, ends, color=figures.FAINT, linewidth=1)
    styles = zip(ring.null.items(), ("--", ":", "-."), COLORS)
    for (name, lifetimes), dash, color in styles:
        reach = float(np.quantile(lifetimes, QUANTILE))
        axes.fill_between(ends, ends, ends + reach, color=color, alpha=0.1, linewidth=0)
        axes.plot(ends, ends + reach, color=color, linestyle=dash, linewidth=1.4, label=f"95 % of: {name}")
    births, deaths = ring.intervals.T if len(ring.intervals) else np.empty((2, 0))
    axes.plot(births[1:], deaths[1:], "o", color=figures.INK, markersize=3, alpha=0.6, label="other loops")
    axes.plot(births[:1], deaths[:1], "D", color=figures.DEFECT, markersize=7, label="the longest loop")
    axes.set(xlim=(0, last), ylim=(0, last), aspect="equal", xlabel="birth", ylabel="death")
    figure.legend(loc="outside upper left", fontsize=8, handlelength=1.8)
    return figure


def training_figure(course: Course) -> Figure:
    """The longest lifetime by epoch; of each null the median and, shaded, from 5 % to 95 % of its clouds.

    Example:
        >>> from cnnaudit.topology import over_training
        >>> states = {k: np.random.default_rng(k).normal(size=(300, 9)) for k in (0, 1)}
        >>> len(training_figure(over_training(states, draws=1, resamples=9)).axes)
        1
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0, 3.6))
    axes = figure.subplots()
    styles = zip(course.bands.items(), ("--", ":", "-."), COLORS)
    for (name, band), dash, color in styles:
        low, middle, high = band.T
        axes.fill_between(course.epochs, low, high, color=color, alpha=0.13, linewidth=0)
        axes.plot(course.epochs, middle, color=color, linestyle=dash, linewidth=1.4, label=name)
    axes.plot(course.epochs, course.relative, "D-", color=figures.DEFECT, markersize=4, label="these kernels")
    axes.set(xlabel="epoch", ylabel="lifetime (1: a circle)", ylim=(0, None))
    axes.grid(color=figures.FAINT, alpha=0.3, linewidth=0.6)
    figure.legend(loc="outside upper left", fontsize=8, handlelength=1.8)
    return figure
