"""Feature maps as pictures: a grid of one layer's maps, and the patch that a unit sees."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cnnaudit.core.errors import DataError
from cnnaudit.interventions.box import Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TILE = 72  # pixels of a map in the mosaic, at least
HEADROOM = 0.3  # room for the number over a map, in sides of a map
ORANGE = (0.902, 0.624, 0.0)


def feature_map_grid(
    maps: torch.Tensor, title: str = "", *, most: int = 64, page: int | None = None, columns: int = 8
) -> bytes:
    """A PNG of one layer's maps for one image, as `draw_feature_maps` draws them.

    Example:
        >>> import torch
        >>> feature_map_grid(torch.rand(5, 4, 4), "conv1")[1:4]
        b'PNG'
    """
    import matplotlib

    with matplotlib.rc_context({"figure.constrained_layout.use": True, "text.parse_math": False}):
        figure = draw_feature_maps(maps, title, most=most, page=page, columns=columns, width=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def draw_feature_maps(
    maps: torch.Tensor, title: str = "", *, most: int = 64, page: int | None = None, columns: int = 8, width: float = 8
) -> Figure:
    """The maps of one layer for one image side by side, on one scale, each under its unit's number.

    The strongest (by its largest value) is framed and labelled `max`; a map that is 0 everywhere is crossed out and
    labelled `dead`. The heading says the maps' size and how many there are and are shown.

    Args:
        maps: (units, height, width), such as `feature_maps(model, image)["conv1"][0]`.
        most: maps in a figure. Of more the strongest are shown, in the order of their numbers.
        page: instead of the strongest show `most` maps in the order of their numbers, from page 1.
        columns: maps in a row.
        width: of the figure in inches.

    Raises:
        DataError: no maps (units, height, width), NaN in them, or a page that does not exist.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017.
    """
    from matplotlib.figure import Figure

    values = _require_maps(maps)
    strength = values.max(axis=(1, 2))
    strongest = int(strength.argmax())
    shown = _chosen(strength, most, page)
    dead = np.asarray(~values.any(axis=(1, 2)))
    columns = min(columns, max(len(shown), 3))
    rows = -(-len(shown) // columns)
    shape = tuple(int(side) for side in values.shape[1:])
    pitch = (1 + HEADROOM) * shape[0] / shape[1]
    figure = Figure(figsize=(width, width / columns * rows * pitch + 0.85))
    axes = figure.subplots()
    picture = _mosaic(axes, values, shown, columns)
    for place, unit in enumerate(shown):
        _label_map(
            axes, divmod(place, columns), int(unit), shape, unit == strongest and not dead[unit], bool(dead[unit])
        )
    bar = figure.colorbar(
        picture, ax=axes, orientation="horizontal", label="activation", fraction=0.05, aspect=40, pad=0.02
    )
    bar.outline.set_visible(False)
    axes.set_title(_heading(title, values, shown, page, most, int(dead.sum())), fontsize=9, loc="left", wrap=True)
    return figure


def outlined(image: torch.Tensor, box: Box) -> np.ndarray:
    """The image in color, (3, H, W) in [0, 1], with an orange frame around the pixels of the box.

    Args:
        image: float (1 or 3, H, W) in [0, 1].
    """
    picture = np.repeat(image.detach().cpu().double().numpy(), 3 // image.shape[0], axis=0)
    height, width = picture.shape[1:]
    if box.size == (0, 0):
        return picture
    thick = max(1, round(min(height, width) / 75))
    frame = np.zeros((height, width), dtype=bool)
    frame[max(box.top - thick, 0) : box.bottom + thick, max(box.left - thick, 0) : box.right + thick] = True
    # outside of the patch where there is room, else its outermost pixels
    top, left = max(box.top, thick), max(box.left, thick)
    frame[top : min(box.bottom, height - thick), left : min(box.right, width - thick)] = False
    return np.asarray(np.where(frame, np.array(ORANGE)[:, None, None], picture))


def _require_maps(maps: torch.Tensor) -> np.ndarray:
    """The maps as an array."""
    values = maps.detach().cpu().double().numpy()
    if values.ndim != 3 or not values.size or not np.isfinite(values).all():
        raise DataError(f"feature maps: expected finite numbers (units, height, width), got {tuple(maps.shape)}")
    return np.asarray(values)


def _chosen(strength: np.ndarray, most: int, page: int | None) -> np.ndarray:
    """The numbers of the maps to show, ascending."""
    if page is None:
        return np.sort(np.argsort(-strength, kind="stable")[:most])
    pages = -(-len(strength) // most)
    if not 1 <= page <= pages:
        raise DataError(f"feature maps: page {page} of {pages} does not exist; {len(strength)} maps, {most} a page")
    return np.arange(len(strength))[(page - 1) * most : page * most]


def _mosaic(axes: Axes, values: np.ndarray, shown: np.ndarray, columns: int) -> Any:
    """All maps as one image, with room over each; a unit of the axes is the width of a map."""
    height, width = values.shape[1:]
    factor = max(1, -(-TILE // max(height, width)))
    tall, broad = height * factor, width * factor
    room, gap = round(HEADROOM * tall), max(2, broad // 24)
    rows = -(-len(shown) // columns)
    mosaic = np.full((rows * (tall + room), columns * (broad + gap)), np.nan)
    for place, unit in enumerate(shown):
        row, column = divmod(place, columns)
        top, left = row * (tall + room) + room, column * (broad + gap)
        mosaic[top : top + tall, left : left + broad] = np.kron(values[unit], np.ones((factor, factor)))
    bound = float(np.abs(values).max()) or 1.0
    low, colors = (-bound, "PuOr_r") if values.min() < 0 else (0.0, "cividis")
    extent = (0, columns * (broad + gap) / broad, rows * (tall + room) / broad, 0)
    axes.set_axis_off()
    return axes.imshow(mosaic, cmap=colors, interpolation="none", extent=extent, vmin=low, vmax=bound)


def _label_map(
    axes: Axes, place: tuple[int, int], unit: int, shape: tuple[int, ...], strongest: bool, dead: bool
) -> None:
    """The number over a map, a frame around the strongest, a cross over a dead one."""
    import matplotlib
    from matplotlib.patches import Rectangle

    ink = matplotlib.rcParams["text.color"]
    tall = shape[0] / shape[1]
    factor = max(1, -(-TILE // max(shape)))
    gap = max(2, shape[1] * factor // 24) / (shape[1] * factor)
    room = round(HEADROOM * shape[0] * factor) / (shape[1] * factor)
    left, top = place[1] * (1 + gap), place[0] * (tall + room) + room
    word = f"{unit} max" if strongest else f"{unit} dead" if dead else str(unit)
    axes.text(left, top - 0.06 * tall, word, fontsize=8, va="bottom", fontweight="bold" if strongest else "normal")
    if strongest:
        axes.add_patch(Rectangle((left, top), 1, tall, fill=False, edgecolor=ink, linewidth=2, clip_on=False))
    if dead:
        axes.plot([left, left + 1], [top, top + tall], color="#7f8790", linewidth=1)
        axes.plot([left, left + 1], [top + tall, top], color="#7f8790", linewidth=1)


def _heading(title: str, values: np.ndarray, shown: np.ndarray, page: int | None, most: int, dead: int) -> str:
    """What is shown, in one line."""
    units, height, width = values.shape
    count = f"{units} map{'s' * (units > 1)} of {height} x {width}"
    if len(shown) < units and page is None:
        count = f"the {len(shown)} strongest of {count}"
    elif len(shown) < units:
        count = f"maps {shown[0]} to {shown[-1]} of {count}, page {page} of {-(-units // most)}"
    parts = [title, count, *([f"{dead} dead"] if dead else [])]
    return ", ".join(part for part in parts if part)
