"""Figures of the ring of a layer's kernels: around its circle, its persistence diagram, its course over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.kernels.mapper_figure import paint_kernels
from cnnaudit.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnaudit.topology import Course, Ring

SECTORS = 16
SIDE = 0.3  # of a kernel, for a circle of radius 1
INNER, OUTER = 0.2, 0.72  # radii between which bars stand
QUANTILE = 0.95
COLORS = (figures.LINE_COLORS[0], *figures.LINE_COLORS[2:4])


def persistence_figure(ring: Ring) -> Figure:
    """Births and deaths of the loops; under each dashed line, what a null reaches in 95 % of its clouds.

    Example:
        >>> from cnnaudit.topology import ring
        >>> from cnnaudit.topology.synthetic_ring import synthetic_ring
        >>> found = ring(synthetic_ring(400, 4.0, np.random.default_rng(0)), draws=1, resamples=9, describe=False)
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


def ring_figure(shapes: np.ndarray, angles: np.ndarray) -> Figure:
    """The mean kernel of each of 16 sectors of the circular coordinate, a bar inside as long as it has kernels.

    Args:
        shapes: (n, h, w) kernels of one norm.
        angles: (n,) in [0, 2 pi); NaN: not on the loop, left out.

    Example:
        >>> angles = np.linspace(0, 6.28, 50)
        >>> shapes = np.cos(angles)[:, None, None] * np.ones((3, 3))
        >>> len(ring_figure(shapes, angles).axes[0].patches) >= 16
        True
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Wedge

    figure = Figure(figsize=(4.2, 4.2))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    known = np.isfinite(angles)
    shapes, sector = shapes[known], sectors(angles[known])
    counts = np.bincount(sector, minlength=SECTORS)
    width = 360 / SECTORS
    for k in np.flatnonzero(counts):
        length = (OUTER - INNER) * counts[k] / counts.max()
        axes.add_patch(
            Wedge((0, 0), INNER + length, k * width - 0.4 * width, k * width + 0.4 * width, width=length, linewidth=0,
                  color=figures.CLEAN)
        )  # fmt: skip
    there = np.flatnonzero(counts)
    turn = 2 * np.pi * there / SECTORS
    where = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    paint_kernels(axes, where, [SIDE] * len(there), [shapes[sector == k].mean(0) for k in there])
    axes.text(0, 0, f"most:\n{counts.max(initial=0):,}", ha="center", va="center", fontsize=8)
    return figure


def sectors(angles: np.ndarray) -> np.ndarray:
    """The sector, 0 to 15, in whose middle 16 places around the circle each angle is nearest to."""
    return np.asarray(np.round(angles / (2 * np.pi) * SECTORS).astype(int) % SECTORS)
