"""The ring of a layer's kernels as a figure: mean kernels around a circle, and how many lie where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.kernels.mapper_figure import paint_kernels
from cnnaudit.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECTORS = 16
SIDE = 0.3  # of a kernel, for a circle of radius 1
INNER, OUTER = 0.2, 0.72  # radii between which bars stand


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
