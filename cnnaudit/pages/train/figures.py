"""The figures of a training: its confusion matrix, with names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.colors import Colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 20  # classes whose counts fit into the cells


def confusion_figure(counts: np.ndarray, classes: Sequence[str], colors: Colors) -> Figure:
    """Rows: the class of the image; columns: the predicted class; shade: the share of the row."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba
    from matplotlib.figure import Figure

    k = len(classes)
    side = min(8.2, max(4.0, 0.46 * k + 1.2))
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    clear = (*to_rgba("#3b82c4")[:3], 0.0)
    shades = LinearSegmentedColormap.from_list("share", [clear, (*clear[:3], 0.75)])
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    if k <= 60:
        axes.set_xticks(range(k), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(k), names)
    axes.set(xlabel="predicted as", ylabel="images of")
    for row in range(k) if k <= MOST_NUMBERS else ():
        for column in range(k):
            if counts[row, column]:
                axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7, color=colors.ink)
    return figure


def confusions(counts: np.ndarray, classes: Sequence[str], most: int = 10) -> list[list[str | int | float]]:
    """The pairs that are confused most: class, predicted class, images, share of the class's images.

    Example:
        >>> confusions(np.array([[8, 2], [0, 5]]), ["a", "b"])
        [['a', 'b', 2, 0.2]]
    """
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [tuple(int(k) for k in np.unravel_index(place, counts.shape)) for place in order]
    return [
        [
            classes[row],
            classes[column],
            int(counts[row, column]),
            round(float(counts[row, column] / counts[row].sum()), 4),
        ]
        for row, column in pairs
        if wrong[row, column]
    ]
