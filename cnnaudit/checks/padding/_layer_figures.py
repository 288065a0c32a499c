"""Charts, maps and pictures that several padding checks show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Location

SHOWN = 20  # layers in a chart or a list
PICTURES = 6
CELLS = 28  # side of a heat map; larger maps are averaged down


def layer_bars(
    title: str, names: Sequence[str], shares: np.ndarray, label: str, tolerance: float | None = None
) -> list[Evidence]:
    """One bar per layer in the order of the network, the largest where there are too many; nothing for one layer."""
    kept = sorted(np.argsort(-np.asarray(shares), kind="stable")[:SHOWN])
    values = {names[i]: float(shares[i]) for i in kept}
    return [evidence.bars(title, values, label=label, tolerance=tolerance)] if len(values) > 1 else []


def layer_locations(
    names: Sequence[str], shares: np.ndarray, pixels: Mapping[str, tuple[int, int] | None]
) -> list[Location]:
    """The layers, worst first, with the pixel of each that has one."""
    order = np.argsort(-np.asarray(shares), kind="stable")[:SHOWN]
    return [Location(float(shares[i]), layer=names[i], pixel=pixels.get(names[i])) for i in order]


def map_figure(title: str, values: np.ndarray, label: str) -> Evidence:
    """A map of a layer as a heat map, averaged down where it is large."""
    if max(values.shape) > CELLS:
        size = tuple(min(CELLS, side) for side in values.shape)
        values = F.adaptive_avg_pool2d(torch.from_numpy(values)[None], size)[0].numpy()
    return evidence.heat_map(title, values, label=label)


def peak_pixel(values: np.ndarray) -> tuple[int, int] | None:
    """Row and column of the largest value; None where all are 0."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (int(row), int(column)) if values.any() else None


def pictures(title: str, images: torch.Tensor, captions: Sequence[str]) -> list[Evidence]:
    """The first images, or nothing where there are none."""
    if not len(images):
        return []
    return [evidence.images(title, images[:PICTURES].numpy(), list(captions[:PICTURES]))]


def marked_images(title: str, images: torch.Tensor, pixels: np.ndarray, size: Sequence[int]) -> list[Evidence]:
    """The first images that have a pixel (row, column) in a map of `size`, each with an orange frame around it."""
    chosen = np.flatnonzero(pixels[:, 0] >= 0)[:PICTURES]
    shown = [_marked(images[i], pixels[i], size) for i in chosen]
    captions = [f"row {pixels[i, 0] + 1}, column {pixels[i, 1] + 1} of {_by((size[0], size[1]))}" for i in chosen]
    return pictures(title, torch.stack(shown), captions) if shown else []


def _marked(image: torch.Tensor, pixel: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """The image in color with an orange frame around what a pixel of a map of `size` covers."""
    height, width = image.shape[-2:]
    thick = max(1, height // 56)
    top, bottom = int(pixel[0] * height / size[0]), int(np.ceil((pixel[0] + 1) * height / size[0]))
    left, right = int(pixel[1] * width / size[1]), int(np.ceil((pixel[1] + 1) * width / size[1]))
    frame = torch.zeros(height, width, dtype=torch.bool)
    frame[max(top - thick, 0) : bottom + thick, max(left - thick, 0) : right + thick] = True
    frame[top:bottom, left:right] = False
    drawn = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
    color = drawn.expand(3, -1, -1).clone()
    color[:, frame] = torch.tensor([0.9, 0.4, 0.0])[:, None]
    return color


def _by(pair: tuple[int, int]) -> str:
    """7 x 7."""
    return f"{pair[0]} x {pair[1]}"
