"""The drawings of a reading that are laid out like the image: maps, pixels of maximum activation, filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.pages.read.figures import WIDE
from cnnaudit.reading.filters import Decomposition
from cnnaudit.reading.results import Reading
from cnnaudit.report.figures import CLEAN, FAINT, INK, MARK, WIDTH
from cnnaudit.report.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = 8
DARK, LIGHT = "#0f0f0f", "#fefefe"  # fixed in both modes: they stand on pictures


def examples(reading: Reading) -> Figure:
    """Per group its most typical image, its feature map, and its pixels of maximum activation."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    assert reading.maps is not None
    shown = list(zip(reading.images.examples, reading.typical))[:EXAMPLES]
    maps = reading.maps[: len(shown)].max(axis=1)
    rows, n = 2 if reading.pixels is None else 3, len(shown)
    width = min(WIDE, 1.15 * n + 0.9)
    figure = Figure(figsize=(width, 0.4 + rows * (width - 0.9) / n))
    panels = figure.subplots(rows, n + 1, squeeze=False, width_ratios=[*[1.0] * n, 0.09])
    scale = Normalize(0, float(maps.max()) or 1.0)
    for column, (group, row) in enumerate(shown):
        image = reading.images.pixels[row].numpy()
        panels[0, column].imshow(_gray(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panels[0, column].set_title(printable(reading.images.group_names[group]).replace(" on ", "\non "), fontsize=8)
        panels[1, column].imshow(maps[column], cmap="cividis", norm=scale, interpolation="nearest")
        if reading.pixels is not None:
            _maxima(panels[2, column], reading, row, image)
    for place in panels[:, :n].flat:
        place.set(xticks=[], yticks=[])
        place.spines[:].set(color=FAINT, visible=True)
    for place, text in zip(panels[:, 0], ("image", "feature map", "maxima")):
        place.set_ylabel(text)
    panels[0, n].set_visible(False)
    bar: Any = figure.colorbar(ScalarMappable(scale, "cividis"), cax=panels[1, n], label="activation")
    bar.outline.set_visible(False)
    if reading.pixels is not None:
        strong = ScalarMappable(Normalize(0, _strongest(reading)), "coolwarm")
        bar = figure.colorbar(strong, cax=panels[2, n], label="strength")
        bar.outline.set_visible(False)
    return figure


def _maxima(place: Axes, reading: Reading, row: int, image: np.ndarray) -> None:
    """The image, pale, with the pixel of maximum activation of each feature."""
    assert reading.pixels is not None
    found = reading.pixels
    height, width = found.size
    pale = 0.35 + 0.5 * _gray(image)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    place.imshow(pale, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    _cells(place, reading)
    live = found.rows[row] >= 0
    place.scatter(
        found.columns[row, live],
        found.rows[row, live],
        c=found.strength[row, live],
        cmap="coolwarm",
        vmin=0,
        vmax=_strongest(reading),
        marker="s",
        s=26,
        edgecolors=DARK,
        linewidths=0.6,
        clip_on=False,
    )


def frequencies(reading: Reading) -> Figure:
    """How often each pixel of the map is a maximum, apart for the two backgrounds where both occur."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    assert reading.pixels is not None
    images, found = reading.images, reading.pixels
    parts = [("all images", None)] if not images.both else [("on white", images.white), ("on black", ~images.white)]
    shares = [found.frequency(chosen) for _, chosen in parts]
    figure = Figure(figsize=(WIDTH if len(parts) == 1 else WIDE, 3.2))
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    scale = PowerNorm(0.5, 0, max(float(share.max()) for share in shares) or 1.0)
    for place, (name, _), share in zip(panels, parts, shares):
        picture = place.imshow(share, cmap="cividis", norm=scale, interpolation="nearest")
        _cells(place, reading)
        row, column = np.unravel_index(int(share.argmax()), share.shape)
        place.plot([column], [row], marker="s", markersize=9, markerfacecolor="none", color=MARK, markeredgewidth=2)
        place.set_title(name, fontsize=9)
        ticks = sorted({0, found.size[1] // 2 - 1, found.size[1] - 1})
        place.set_xticks(ticks, [str(tick + 1) for tick in ticks])
        ticks = sorted({0, found.size[0] // 2 - 1, found.size[0] - 1})
        place.set_yticks(ticks, [str(tick + 1) for tick in ticks])
        place.set(xlabel="column", ylabel="row")
        place.spines[:].set_visible(False)
    bar: Any = figure.colorbar(picture, ax=panels.tolist(), label="share of images", shrink=0.9)
    bar.outline.set_visible(False)
    return figure


def filters(reading: Reading) -> Figure:
    """The filters: white where they want white, black where they want black, an arrow from white to black."""
    from matplotlib.figure import Figure

    found = reading.filters
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(min(WIDE, 3.0 * columns), (2.9 if columns < 3 else 1.9) * rows))
    panels = figure.subplots(rows, columns, squeeze=False)
    for place in panels.flat[len(found) :]:
        place.set_visible(False)
    for place, one in zip(panels.flat, found):
        reach = float(np.abs(one.kernel).max()) or 1.0
        place.imshow(one.kernel, cmap="gray", vmin=-reach, vmax=reach, interpolation="nearest")
        if one.kernel.size <= 25:
            for (row, column), value in np.ndenumerate(one.kernel):
                shade = DARK if value > 0 else LIGHT
                place.text(column, row + 0.3, f"{value:.2g}", ha="center", va="center", color=shade, fontsize=8)
        if one.direction is not None and one.direction.share > 0:
            length = max(one.direction.share, 0.05) ** 0.5
            _arrow(place, one.direction.x * length, one.direction.y * length, one.kernel.shape)
        place.set(xticks=[], yticks=[])
        place.spines[:].set_color(FAINT)
        if len(found) > 1:
            place.set_title(f"filter {one.number + 1}", fontsize=8)
    return figure


def _arrow(place: Axes, x: float, y: float, shape: tuple[int, ...]) -> None:
    """An arrow of up to unit length through the middle of a filter, from white to black."""
    middle, reach = ((shape[1] - 1) / 2, (shape[0] - 1) / 2), 0.42 * min(shape)
    place.annotate(
        "",
        (middle[0] + reach * x, middle[1] + reach * y),
        (middle[0] - reach * x, middle[1] - reach * y),
        arrowprops={"arrowstyle": "-|>", "color": MARK, "linewidth": 3, "mutation_scale": 18},
    )


def mixture(found: Decomposition) -> Figure:
    """The share of a filter that one, two, three and all classic filters explain, beside chance."""
    from matplotlib.figure import Figure

    names = ["; ".join(f"{weight:+.2f} {name}" for name, weight in one.weights.items()) for one in found.mixtures]
    labels = [f"best {k}" if k > 1 else "best single" for k in range(1, len(names) + 1)]
    figure = Figure(figsize=(WIDTH, 1.0 + 0.55 * (len(names) + 1)))
    axes = figure.subplots()
    for y, (one, name) in enumerate(zip(found.mixtures, names)):
        axes.barh(y, one.share, 0.34, color=CLEAN)
        axes.plot(one.chance, [y + 0.26] * 2, color=MARK, linewidth=2.5, solid_capstyle="butt")
        axes.text(0, y - 0.34, name, fontsize=7.5, va="center")
        _value(axes, one.share, y)
    last = len(names)
    axes.barh(last, found.span, 0.34, color=CLEAN)
    axes.plot([found.dimensions / found.size], [last + 0.26], marker="d", color=MARK, markersize=5)
    _value(axes, found.span, last)
    axes.set_yticks(range(last + 1), [*labels, f"all {len(found.cosines)}"])
    axes.set_ylim(last + 0.6, -0.6)
    axes.set_xlim(0, 1.08)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.set_xlabel("share of the filter's energy explained")
    return figure


def cosines(found: Decomposition) -> Figure:
    """How like a filter is to each classic one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.7 + 0.22 * len(found.cosines)))
    axes = figure.subplots()
    for y, value in enumerate(found.cosines.values()):
        axes.barh(y, value, 0.6, color=CLEAN)
        side, place = ("left", value + 0.03) if value >= 0 else ("right", value - 0.03)
        axes.text(place, y, f"{value:.2f}", ha=side, va="center", fontsize=8, color=INK)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set_yticks(range(len(found.cosines)), list(found.cosines))
    axes.set(xlim=(-1.25, 1.25), ylim=(len(found.cosines) - 0.4, -0.6), xlabel="cosine")
    return figure


def _value(axes: Axes, share: float, y: float) -> None:
    """A percentage beside the end of its bar, inside where there is no room."""
    inside = share > 0.88
    place, shade, side = (share - 0.02, LIGHT, "right") if inside else (share + 0.02, INK, "left")
    axes.text(place, y, f"{100 * share:.0f}%", fontsize=8, va="center", ha=side, color=shade)


def blanks(reading: Reading) -> Figure:
    """What the first filter answers to an empty white and an empty black image."""
    from matplotlib.figure import Figure

    one = reading.filters[0]
    figure = Figure(figsize=(WIDTH, 2.3))
    panels = figure.subplots(1, 2)
    low, high = min(float(m.min()) for m in one.blank), max(float(m.max()) for m in one.blank)
    for place, map_, name in zip(panels, one.blank, ("all white", "all black")):
        picture = place.imshow(map_, cmap="cividis", vmin=min(low, 0), vmax=high or 1.0, interpolation="nearest")
        place.set_title(name, fontsize=9)
        place.set(xticks=[], yticks=[])
        place.spines[:].set_color(FAINT)
    bar: Any = figure.colorbar(picture, ax=panels.tolist(), label="activation", shrink=0.85)
    bar.outline.set_visible(False)
    return figure


def _cells(place: Axes, reading: Reading) -> None:
    """Thin lines between the pooled cells."""
    assert reading.pixels is not None
    grid, (height, width) = reading.place.grid, reading.pixels.size
    if grid is None:
        return
    for k in range(1, grid[1]):
        place.axhline(k * height / grid[1] - 0.5, color=LIGHT, linewidth=0.7, alpha=0.8)
    for k in range(1, grid[2]):
        place.axvline(k * width / grid[2] - 0.5, color=LIGHT, linewidth=0.7, alpha=0.8)


def _strongest(reading: Reading) -> float:
    """The strongest feature of the images that are shown."""
    assert reading.pixels is not None
    return float(reading.pixels.strength[list(reading.typical)].max()) or 1.0


def _gray(image: np.ndarray) -> np.ndarray:
    """An image as a plane of gray values."""
    return np.asarray(image.mean(axis=0))
