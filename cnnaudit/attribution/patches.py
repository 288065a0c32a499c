"""Tensors that differ from those of a few base images inside one small box per row, and are computed only there.

`occlusion` changes one window of an image and asks the model again. What the window cannot have touched is known from
the unoccluded image, so a `Part` holds that image's activation once, and for each window only the box of values that
may differ. `patched_tensor` carries parts through a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

Axis = np.ndarray  # (B,) first row or column of each box


@dataclass(frozen=True)
class Box:
    """Where each row's changed values lie in its plane: first row, first column (B,), and one size for all rows."""

    top: Axis
    left: Axis
    height: int
    width: int


@dataclass(frozen=True)
class Part:
    """The content of a patched tensor.

    Attributes:
        base: (N, C, H, W), the activation of the unchanged images.
        owner: (B,), the image that each row comes from.
        box: where the rows differ from their image.
        patch: (B, C, box.height, box.width), what is there.
        followed: the kinds of the calls that have been followed in this pass, one list for all its tensors.
    """

    base: torch.Tensor
    owner: torch.Tensor
    box: Box
    patch: torch.Tensor
    followed: list[str] = field(default_factory=list)

    @property
    def shape(self) -> torch.Size:
        """Of the whole tensor that this stands for."""
        return torch.Size((len(self.owner), *self.base.shape[1:]))

    def crop(self, box: Box, outside: float = 0.0) -> torch.Tensor:
        """The values in another box, (B, C, height, width); `outside` stands beyond the plane."""
        return self.at(_steps(box.top, box.height), _steps(box.left, box.width), outside)

    def at(self, rows: np.ndarray, columns: np.ndarray, outside: float = 0.0) -> torch.Tensor:
        """The values where those rows (B, h) and columns (B, w) cross, (B, C, h, w), in the base's memory format."""
        count, channels, height, width = self.base.shape
        device = self.base.device
        y, x = torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)
        inner_y, inner_x = (
            place - torch.as_tensor(first, device=device)[:, None]
            for place, first in ((y, self.box.top), (x, self.box.left))
        )
        of_base = (self.owner[:, None] * height + y)[:, :, None] * width + x[:, None, :]
        start = (
            count * height * width
            + torch.arange(len(self.owner), device=device)[:, None] * self.box.height * self.box.width
        )
        of_patch = (start + inner_y * self.box.width)[:, :, None] + inner_x[:, None, :]
        inside = _both((inner_y >= 0) & (inner_y < self.box.height), (inner_x >= 0) & (inner_x < self.box.width))
        index = torch.where(inside, of_patch, of_base)
        pools = [_pixels(self.base), _pixels(self.patch)]
        if rows.min() < 0 or columns.min() < 0 or rows.max() >= height or columns.max() >= width:
            index = torch.where(
                _both((y >= 0) & (y < height), (x >= 0) & (x < width)), index, len(pools[0]) + len(pools[1])
            )
            pools.append(pools[0].new_full((1, channels), outside))
        values = torch.cat(pools).index_select(0, index.flatten())
        planes = values.view(*index.shape, channels).permute(0, 3, 1, 2)
        return planes if self.base.is_contiguous(memory_format=torch.channels_last) else planes.contiguous()

    def whole(self) -> torch.Tensor:
        """The tensor itself, (B, C, H, W)."""
        zeros = np.zeros(len(self.owner), dtype=np.int64)
        return self.crop(Box(zeros, zeros, *self.base.shape[2:]))


def union(boxes: Sequence[Box], height: int, width: int) -> Box:
    """For each row a box around all of its boxes, in the plane, of one size for all rows."""
    top, bottom = _hull([(box.top, box.top + box.height) for box in boxes])
    left, right = _hull([(box.left, box.left + box.width) for box in boxes])
    return spanning(top, bottom, left, right, height, width)


def spanning(top: Axis, bottom: Axis, left: Axis, right: Axis, height: int, width: int) -> Box:
    """Boxes of one size that hold rows top..bottom - 1 and columns left..right - 1, moved inside the plane."""
    tall, wide = (int(max(1, (last - first).max())) for first, last in ((top, bottom), (left, right)))
    return Box(np.clip(top, 0, height - tall), np.clip(left, 0, width - wide), tall, wide)


def seeing(first: Axis, size: int, padding: int, reach: int, stride: int, count: int) -> tuple[Axis, Axis]:
    """The outputs that read any of `size` places from `first` on: from the first one to behind the last."""
    start = -((reach - padding - first) // stride)
    end = (first + size - 1 + padding) // stride + 1
    return np.clip(start, 0, count - 1), np.clip(end, 1, count)


def sources(count: int, before: int, after: int, mode: str) -> np.ndarray:
    """For each place of a padded axis the place that its value comes from."""
    places: np.ndarray = np.arange(-before, count + after)
    if mode == "circular":
        places %= count
    elif mode == "reflect":
        places = count - 1 - np.abs(count - 1 - np.abs(places))
    clipped: np.ndarray = np.clip(places, 0, count - 1)
    return clipped


def copies(sources: np.ndarray, first: Axis, size: int) -> tuple[Axis, Axis]:
    """From the first to behind the last place whose value comes from `size` places from `first` on."""
    held = (sources >= first[:, None]) & (sources < first[:, None] + size)
    return held.argmax(1), len(sources) - held[:, ::-1].argmax(1)


def _hull(spans: Sequence[tuple[Axis, Axis]]) -> tuple[Axis, Axis]:
    firsts, lasts = zip(*spans)
    return np.minimum.reduce(firsts), np.maximum.reduce(lasts)


def _steps(first: Axis, count: int) -> np.ndarray:
    """(B, count): count numbers from each row's first one."""
    numbers: np.ndarray = first[:, None] + np.arange(count)
    return numbers


def _both(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return rows[:, :, None] & columns[:, None, :]


def _pixels(planes: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) as one row of channels per pixel; no copy where channels are last."""
    return planes.permute(0, 2, 3, 1).reshape(-1, planes.shape[1])
