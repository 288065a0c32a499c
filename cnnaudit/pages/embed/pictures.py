"""The maps as bitmaps: one picture of all of them, and an animation over the training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.embedding.maps import METHODS
from cnnaudit.pages.embed.packed import COLORS, squared

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnnaudit.pages.embed.maps import LayerMap, Maps

BETWEEN = 6  # pictures from one moment to the next
SECONDS = 0.08  # of each; a moment itself stays for ten of them
MARKERS = ("o", "s", "^", "D")
KEYED = 24  # classes with an entry in the key, at most


def picture(found: Maps) -> bytes:
    """A PNG of every map at the last moment: a row per method, a column per layer."""
    methods = list(dict.fromkeys(one.method for one in found.maps))
    shown = [[one for one in found.maps if one.method == method] for method in methods]
    return _png(_drawn(found, shown, len(found.moments) - 1, ""))


def animation(found: Maps) -> bytes:
    """A GIF of the first method's maps over the training, a column per layer."""
    from PIL.Image import Palette

    first = [one for one in found.maps if one.method == found.maps[0].method]
    frames, times = [], []
    for moment, name in enumerate(found.moments):
        steps = BETWEEN if moment + 1 < len(found.moments) else 1
        for step in range(steps):
            frames.append(_drawn(found, [first], moment + step / BETWEEN, name))
            times.append(round(1000 * SECONDS * (10 if step == 0 else 1)))
    times[-1] *= 3
    buffer = io.BytesIO()
    still = [frame.convert("P", palette=Palette.ADAPTIVE, colors=64) for frame in frames]
    still[0].save(buffer, "GIF", save_all=True, append_images=still[1:], duration=times, loop=0, optimize=True)
    return buffer.getvalue()


def _drawn(found: Maps, rows: Sequence[Sequence[LayerMap]], moment: float, name: str) -> Image:
    """The maps at a moment, or on their way to the next one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    columns, before = max(map(len, rows)), int(moment)
    figure = Figure(figsize=(3.6 * columns, 3.8 * len(rows) + 0.7), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = np.asarray(figure.subplots(len(rows), columns, squeeze=False))
    shown = np.unique(found.labels)
    for line, axes_of in zip(rows, panels):
        for one, axes in zip(line, axes_of):
            frames = squared(one.points)
            after = frames[min(before + 1, len(frames) - 1)]
            places = frames[before] + (after - frames[before].astype(float)) * (moment - before)
            _points(axes, places, found, before)
            axes.set_title(f"{one.layer}, {METHODS[one.method]}", fontsize=9, parse_math=False)
    handles = panels[0, 0].collections[: min(len(shown), KEYED)]
    names = [found.classes[label][:20] for label in shown[:KEYED]]
    legend = figure.legend(
        handles, names, loc="outside lower center", ncols=min(6, len(names)), fontsize=8, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    if name:
        figure.suptitle(name, fontsize=11, parse_math=False)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]


def _points(axes: Any, places: np.ndarray, found: Maps, moment: int) -> None:
    """One map: classes in colors, mistakes crossed."""
    size = float(np.clip(6_000 / len(places), 2, 24))
    for label in np.unique(found.labels):
        own = found.labels == label
        axes.scatter(
            places[own, 0],
            -places[own, 1],
            s=size,
            color=COLORS[label % len(COLORS)],
            marker=MARKERS[label // len(COLORS) % len(MARKERS)],
            linewidths=0,
        )
    wrong = found.predicted[moment] != found.labels
    alpha = float(np.clip(0.15 / max(wrong.mean(), 1e-9), 0.2, 1))  # so that many do not hide the classes
    cross = {"s": 2 * size, "color": "#1a1a1a", "marker": "x", "linewidths": 0.7, "alpha": alpha}
    axes.scatter(places[wrong, 0], -places[wrong, 1], **cross)
    axes.set(xticks=[], yticks=[], xlim=(-2_000, 67_500), ylim=(-67_500, 2_000))
    axes.set_aspect("equal")


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
