"""Bitmaps of an atlas: optimized images, patches of the data, grids, strips over a training."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnnaudit.activation import Box
    from cnnaudit.pages.atlas import Snapshots

THUMB = 64  # side of a natural exemplar
SMALL = 64  # images up to that side are stored as they are and enlarged without smoothing
LEAST = 32  # side of a window around what a unit sees
FRAME = (230, 159, 0)
PAPER, INK = (255, 255, 255), (40, 44, 50)
LABEL = 16  # height of a line of text in a grid


def rgb(pixels: np.ndarray) -> Image:
    """uint8 (1 or 3, H, W) as an image in color."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(np.repeat(pixels, 3 // len(pixels), axis=0).transpose(1, 2, 0)))


def published(pixels: np.ndarray, recipe: str) -> np.ndarray:
    """uint8 pixels as a recipe's source shows them: with `lees`, mean .5 and standard deviation .1, cut to 0..1.

    Source: Keras's `deprocess_image` (F. Chollet, How convolutional neural networks see the world, 2016), which Lees
        2017 uses before saving.

    Example:
        >>> published(np.array([[[0, 255]]], dtype=np.uint8), "lees").tolist()
        [[[102, 153]]]
    """
    if recipe != "lees":
        return pixels
    values = pixels / 255.0
    shown = (values - values.mean()) / (values.std() + 1e-5) * 0.1 + 0.5
    return np.asarray((shown * 255).round().clip(0, 255), dtype=np.uint8)


def patch(pixels: np.ndarray, box: Box | None) -> Image:
    """What a unit sees of an image, framed, with a little around it, of small images all; a square of `THUMB` pixels.

    Args:
        pixels: uint8 (1 or 3, H, W).
        box: the receptive field; None: not known, the whole image without a frame.
    """
    from PIL import Image, ImageDraw

    top, left, side = _window(pixels.shape[1:], box)
    cut = window(pixels, box)
    smooth = Image.Resampling.LANCZOS if side > THUMB else Image.Resampling.NEAREST
    shown = cut.resize((THUMB, THUMB), smooth)
    if box is not None and box.size != (0, 0):
        scale = THUMB / side
        edges = [(box.left - left) * scale, (box.top - top) * scale, (box.right - left) * scale - 1]
        edges.append((box.bottom - top) * scale - 1)
        limits = [min(max(round(edge), 0), THUMB - 1) for edge in edges]
        ImageDraw.Draw(shown).rectangle((limits[0], limits[1], limits[2], limits[3]), outline=FRAME)
    return shown


def window(pixels: np.ndarray, box: Box | None) -> Image:
    """The square around what a unit sees that `patch` shows, in the image's own pixels."""
    from PIL import Image

    top, left, side = _window(pixels.shape[1:], box)
    cut = Image.new("RGB", (side, side), (128, 128, 128))
    cut.paste(rgb(pixels), (-left, -top))
    return cut


def frame(size: Sequence[int], box: Box | None) -> str:
    """Where the box lies in its window, as CSS in per cent; empty where it is not known or fills the window."""
    top, left, side = _window(size, box)
    if box is None or min(box.size) >= side or box.size == (0, 0):
        return ""
    edges = {"left": box.left - left, "top": box.top - top, "width": box.size[1], "height": box.size[0]}
    return ";".join(f"{name}:{100 * value / side:.4g}%" for name, value in edges.items())


def _window(size: Sequence[int], box: Box | None) -> tuple[int, int, int]:
    """Top, left and side."""
    height, width = size
    side = whole = max(height, width)
    if box is None or box.size == (0, 0):
        return (height - whole) // 2, (width - whole) // 2, whole
    if whole > SMALL:
        side = min(max(round(1.6 * max(box.size)), LEAST), whole)
    top = _within((box.top + box.bottom - side) // 2, side, height)
    return top, _within((box.left + box.right - side) // 2, side, width), side


def _within(start: int, side: int, length: int) -> int:
    """The start of a window that does not leave the image where it fits; else it is centered."""
    return (length - side) // 2 if side > length else min(max(start, 0), length - side)


def sheet(patches: Sequence[Image]) -> Image:
    """Up to four patches in a square."""
    from PIL import Image

    side = 2 * THUMB + 2
    joined = Image.new("RGB", (side, side), PAPER)
    for k, image in enumerate(patches[:4]):
        joined.paste(image, ((THUMB + 2) * (k % 2), (THUMB + 2) * (k // 2)))
    return joined


def uri(image: Image, most: int = 128) -> str:
    """The image as a data URI: PNG where it is small, else JPEG of at most that side."""
    buffer, (width, height) = io.BytesIO(), image.size
    if max(width, height) <= SMALL:
        return inlined(_png(image))
    if max(width, height) > most:
        image = image.copy()
        image.thumbnail((most, most))
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def inlined(png: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def grid(images: Sequence[Image], labels: Sequence[str]) -> bytes:
    """A PNG of images of one size with their labels, about as wide as it is high."""
    return _png(_grid(images, labels, math.ceil(math.sqrt(len(images)))))


def strip(found: Snapshots) -> bytes:
    """A PNG with a row per checkpoint and a column per unit."""
    from PIL import Image

    units = [f"unit {unit}" for unit in found.optima[0].units]
    rows = [_grid([rgb(image) for image in optima.images], units, len(units)) for optima in found.optima]
    joined = Image.new("RGB", (rows[0].width, sum(row.height + LABEL for row in rows)), PAPER)
    top = 0
    for name, row in zip(found.names, rows):
        _write(joined, (4, top), name)
        joined.paste(row, (0, top + LABEL))
        top += LABEL + row.height
    return _png(joined)


def side_by_side(found: Snapshots) -> bytes:
    """A PNG with a row per unit and a column per way in which its image was made."""
    units = range(len(found.optima[0]))
    images = [rgb(optima.images[k]) for k in units for optima in found.optima]
    numbers = found.optima[0].units
    labels = [f"{name}, {numbers[k]}" if j == 0 else name for k in units for j, name in enumerate(found.names)]
    return _png(_grid(images, labels, len(found.names)))


def animation(found: Snapshots, seconds: float = 0.8) -> bytes:
    """An animated PNG that shows the units at one checkpoint after the other, the last one longer."""
    from PIL import Image

    units = [f"unit {unit}" for unit in found.optima[0].units]
    frames = []
    for name, optima in zip(found.names, found.optima):
        picture = _grid([rgb(image) for image in optima.images], units, math.ceil(math.sqrt(len(units))))
        frame = Image.new("RGB", (picture.width, picture.height + LABEL), PAPER)
        _write(frame, (4, 0), name)
        frame.paste(picture, (0, LABEL))
        frames.append(frame)
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(3000 * seconds)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def _grid(images: Sequence[Image], labels: Sequence[str], columns: int) -> Image:
    from PIL import Image

    times = max(1, math.ceil(80 / max(images[0].size)))  # so small images are seen at all, and labels have room
    width, height = (times * side for side in images[0].size)
    rows = math.ceil(len(images) / columns)
    joined = Image.new("RGB", ((width + 4) * columns + 4, (height + LABEL) * rows + 4), PAPER)
    for k, (picture, label) in enumerate(zip(images, labels)):
        left, top = 4 + (width + 4) * (k % columns), (height + LABEL) * (k // columns)
        _write(joined, (left, top), label)
        joined.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, top + LABEL))
    return joined


def _write(image: Image, place: tuple[int, int], text: str) -> None:
    from PIL import ImageDraw, ImageFont

    ImageDraw.Draw(image).text((place[0], place[1] + 1), text, fill=INK, font=ImageFont.load_default(12))


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
