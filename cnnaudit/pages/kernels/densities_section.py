"""The section of a layer's page on the weights behind its border-aware units: densities of rows, columns, channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.colors import PAGE, Colors
from cnnaudit.pages.document import Drawing, Part, Section
from cnnaudit.pages.kernels.layer import Examined
from cnnaudit.report.words import number
from cnnaudit.units.kinds import Counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 200  # of a curve
LEAST = 3  # rows or columns that can be compared
LINES = 7  # rows or columns with a curve, at most
CHANNELS = ("red", "green", "blue")


def densities_section(found: Examined, counted: Sequence[Counted]) -> Section:
    """The densities of the rows and columns of the unit whose lines differ most, and of the channels of an image."""
    from cnnaudit.units.border import border_distances

    title, layer = "Rows, columns and channels", found.kernels
    text: list[str] = []
    parts: list[Part] = []
    if max(layer.size) < LEAST:
        text.append(f"The kernels have fewer than {LEAST} rows and columns, too few to be compared.")
    else:
        joined = border_distances(layer.weights).joined("and")
        unit = int(joined.argmax())
        weights = layer.weights[unit]
        text.append(
            f"Of all units the rows and the columns of unit {unit} differ most: the largest less the smallest "
            f"Kolmogorov-Smirnov distance of two lines is at least {number(float(joined[unit]))}; from .5 on a unit is "
            "called border-aware (Garriga 2019, figure 23). A curve is the density of the weights in one line of its "
            "kernels, over all input channels."
        )
        rows = {f"row {k + 1}": weights[:, k].ravel() for k in range(layer.size[0])}
        columns = {f"column {k + 1}": weights[:, :, k].ravel() for k in range(layer.size[1])}
        parts += [
            Drawing(f"Rows of unit {unit}", lambda: density_figure(rows)),
            Drawing(f"Columns of unit {unit}", lambda: density_figure(columns)),
        ]
    if layer.inputs == len(CHANNELS):
        channels = {name: layer.weights[:, k].ravel() for k, name in enumerate(CHANNELS)}
        caption = "All weights of the layer by the channel that they read, where the layer reads the image itself."
        parts.append(Drawing("Weights by input channel", lambda: density_figure(channels), caption))
    return Section(title, text, parts)


def density_figure(samples: dict[str, np.ndarray], colors: Colors = PAGE) -> Figure:
    """Kernel density estimates (Gaussian, Scott's rule) of a few samples of weights, over their joint range."""
    from matplotlib.figure import Figure
    from scipy.stats import gaussian_kde

    figure = Figure(figsize=(4.2, 2.8))
    axes = figure.subplots()
    together = np.concatenate(list(samples.values()))
    low, high = float(together.min()), float(together.max())
    places = np.linspace(low, high, POINTS) if high > low else np.array([low])
    for k, (name, values) in enumerate(list(samples.items())[:LINES]):
        style = ("-", "--")[k // len(colors.series) % 2]
        color = colors.series[k % len(colors.series)]
        if np.ptp(values) > 0:
            axes.plot(places, gaussian_kde(values)(places), style, color=color, linewidth=1.5, label=name)
        else:
            axes.axvline(float(values[0]), color=color, linestyle=style, label=f"{name}: one value")
    axes.set(xlabel="weight", ylabel="density")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8)
    return figure
