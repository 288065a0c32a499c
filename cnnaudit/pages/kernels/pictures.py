"""Bitmaps of kernels: a grid of small gray squares with the numbers of their units."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np

TILE, LABEL, GAP = 40, 13, 6
COLUMNS = 14
INK = (128, 136, 144, 255)  # is read on white and on black


def kernel_grid(kernels: np.ndarray, labels: Sequence[str]) -> bytes:
    """A PNG of kernels (n, h, w), at least one, each on its own scale: black negative, gray 0, white positive.

    Example:
        >>> kernel_grid(np.ones((2, 3, 3)), ["0", "1"])[:4]
        b'\\x89PNG'
    """
    from PIL import Image, ImageDraw, ImageFont

    from cnnaudit.pages.kernels.mapper_data import grays

    height, width = kernels.shape[1:]
    pixel = max(1, TILE // max(height, width))
    wide, high = max(pixel * width, TILE // 2), pixel * height
    columns = min(len(kernels), COLUMNS)
    rows = math.ceil(len(kernels) / columns)
    sheet = Image.new("RGBA", ((wide + GAP) * columns, (high + LABEL + GAP) * rows))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for k, (gray, label) in enumerate(zip(grays(kernels), labels)):
        left, top = (wide + GAP) * (k % columns), (high + LABEL + GAP) * (k // columns)
        shown = Image.fromarray(gray).resize((pixel * width, high), Image.Resampling.NEAREST)
        sheet.paste(shown.convert("RGBA"), (left, top))
        pen.rectangle((left, top, left + pixel * width - 1, top + high - 1), outline=INK)
        pen.text((left, top + high), label, fill=INK, font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
