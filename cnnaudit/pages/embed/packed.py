"""What the script of a page of embeddings is given: places in 16 bits, and the images of the points in one sheet."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.embedding.maps import METHODS

if TYPE_CHECKING:
    import torch

    from cnnaudit.pages.embed.maps import LayerMap, Maps

SIDE = 32  # of an image on the sheet, at most
COLORS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#8c6d1f", "#7a3fb0", "#6b7680", "#b8c400")
FINEST = 65_535


def packed(found: Maps, images: torch.Tensor) -> dict[str, Any]:
    """Everything as plain JSON values; arrays are little-endian bytes in base 64."""
    sprite, side, columns = sheet(images)
    return {
        "n": len(found.labels),
        "k": next(iter(found.neighbors.values()))[0].shape[1],
        "split": found.split,
        "indices": found.indices.tolist(),
        "classes": list(found.classes),
        "colors": list(COLORS),
        "labels": _bytes(found.labels),
        "predicted": [_bytes(one) for one in found.predicted],
        "frames": list(found.moments),
        "sprite": sprite,
        "side": side,
        "columns": columns,
        "panels": [_panel(found, layer) for layer in found.layers],
    }


def _panel(found: Maps, layer: str) -> dict[str, Any]:
    own = [one for one in found.maps if one.layer == layer]
    return {
        "layer": layer,
        "near": [_bytes(one) for one in found.neighbors[layer]],
        "maps": [
            {
                "title": METHODS[one.method],
                "frames": [_bytes(frame) for frame in squared(one.points)],
                "words": [words(found, one, k) for k in range(len(found.moments))],
            }
            for one in own
        ],
    }


def words(found: Maps, one: LayerMap, moment: int) -> str:
    """What is measured of a map, in one sentence."""
    trust = one.trust[moment]
    told = "" if math.isnan(trust) else f"Trustworthiness {trust:.2f} (1: no false neighbors, chance .5). "
    return f"{told}{found.purity[one.layer][moment]:.0%} of the nearest images are of the same class."


def squared(frames: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The frames in one square of 0..65535, with y downward, uint16 (n, 2): distances keep their ratio.

    Example:
        >>> squared((np.array([[0.0, 0], [2, 1]]),))[0].tolist()
        [[0, 49151], [65535, 16384]]
    """
    together = np.concatenate(frames)
    low, high = together.min(axis=0), together.max(axis=0)
    extent = max(float((high - low).max()), 1e-12)
    middle = (low + high) / 2
    places = [(frame - middle) / extent * [1, -1] + 0.5 for frame in frames]
    return [np.clip(place * FINEST, 0, FINEST).round().astype(np.uint16) for place in places]


def sheet(images: torch.Tensor) -> tuple[str, int, int]:
    """All images in one picture as a data URI, the side of each in it, and how many stand in a row.

    Gray images keep every pixel; colors are compressed as JPEG, enlarged or reduced to squares of 32 pixels.
    """
    from PIL import Image

    gray = images.shape[1] == 1
    side = min(SIDE, max(images.shape[2:])) if gray else SIDE
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    joined = Image.new("L" if gray else "RGB", (columns * side, rows * side), 0)
    for k, image in enumerate(images):
        pixels = (image[: 1 if gray else 3] * 255).round().clamp(0, 255).byte().numpy()
        picture = Image.fromarray(pixels[0] if gray else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        joined.paste(_square(picture, side), ((k % columns) * side, k // columns * side))
    buffer = io.BytesIO()
    if gray:
        joined.save(buffer, "PNG", optimize=True)
    else:
        joined.save(buffer, "JPEG", quality=85)
    kind = "png" if gray else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", side, columns


def _square(picture: Any, side: int) -> Any:
    """The whole picture in a square of that side."""
    from PIL import Image, ImageOps

    if picture.size == (side, side):
        return picture
    larger = max(picture.size) > side
    return ImageOps.pad(picture, (side, side), Image.Resampling.LANCZOS if larger else Image.Resampling.NEAREST)


def _bytes(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<u2").tobytes()).decode("ascii")
