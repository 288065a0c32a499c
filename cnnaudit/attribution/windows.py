"""The windows of an occlusion: where they stand, what fills them, and what a value per window says of a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cnnaudit.core.errors import AuditError, DataError


@dataclass(frozen=True)
class Windows:
    """Windows of one size on a grid of rows and columns, the last ones flush with the border.

    Attributes:
        rows, columns: the first row of each row of windows, the first column of each column of windows.
        size: height and width of a window.
        plane: height and width of the image.
    """

    rows: np.ndarray
    columns: np.ndarray
    size: tuple[int, int]
    plane: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return len(self.rows), len(self.columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def corner(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First row and column of the windows of those numbers, counted row by row."""
        return self.rows[number // len(self.columns)], self.columns[number % len(self.columns)]

    def by_border(self) -> np.ndarray:
        """The numbers of the windows, those as far from the border one after another: they touch equally much."""
        far = [np.minimum(first, plane - size - first) for first, size, plane in self._axes()]
        level_y, level_x = (4 * axis // (axis.max() + 1) for axis in far)
        return np.lexsort((np.tile(level_x, len(level_y)), np.repeat(level_y, len(level_x))))

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """For values (N, rows, columns) the mean over the windows that hold each pixel, (N, H, W)."""
        down, across = (
            torch.as_tensor((at >= first[:, None]) & (at < first[:, None] + size)).to(values)
            for first, size, at in ((f, s, np.arange(p)) for f, s, p in self._axes())
        )
        total = torch.einsum("rh,nrc,cw->nhw", down, values, across)
        return total / (down.sum(0)[:, None] * across.sum(0))

    def nearest(self, values: torch.Tensor) -> torch.Tensor:
        """For values (N, rows, columns) that of the window whose middle is nearest to each pixel, (N, H, W)."""
        down, across = (
            np.abs(np.arange(plane)[:, None] - (first + (size - 1) / 2)).argmin(1)
            for first, size, plane in self._axes()
        )
        return values[:, torch.as_tensor(down)][:, :, torch.as_tensor(across)]

    def _axes(self) -> tuple[tuple[np.ndarray, int, int], tuple[np.ndarray, int, int]]:
        return (self.rows, self.size[0], self.plane[0]), (self.columns, self.size[1], self.plane[1])


def windows(
    plane: tuple[int, int], size: int | tuple[int, int] | None = None, stride: int | tuple[int, int] | None = None
) -> Windows:
    """The windows on a plane; by default a seventh of its sides, with steps of half a window.

    Raises:
        AuditError: a window larger than the plane, or a stride that leaves pixels out.

    Example:
        >>> windows((10, 8), 4, 3).rows.tolist(), windows((10, 8), 4, 3).columns.tolist()
        ([0, 3, 6], [0, 3, 4])
    """
    height, width = _pair(size, tuple(max(1, side // 7) for side in plane))
    steps = _pair(stride, (max(1, height // 2), max(1, width // 2)))
    for side, step, whole in zip((height, width), steps, plane):
        if not 1 <= side <= whole:
            raise AuditError(f"occlusion: a window of {height} x {width} pixels in an image of {plane[0]} x {plane[1]}")
        if not 1 <= step <= side:
            raise AuditError(
                f"occlusion: a stride of {step} with a window of {side} leaves pixels out; give 1 to {side}"
            )
    rows, columns = (
        np.unique(np.append(np.arange(0, whole - side + 1, step), whole - side))
        for side, step, whole in zip((height, width), steps, plane)
    )
    return Windows(rows, columns, (height, width), plane)


def filled(images: torch.Tensor, fill: str | float | torch.Tensor, places: Windows) -> torch.Tensor:
    """What the windows show in place of the images, (N, C, H, W); see `occlusion`."""
    if isinstance(fill, str):
        if fill not in FILLS:
            raise AuditError(f"occlusion: fill is one of {', '.join(FILLS)}, a number or a tensor, got {fill!r}")
        return FILLS[fill](images, places)
    try:
        return torch.as_tensor(fill, dtype=images.dtype, device=images.device).expand_as(images)
    except RuntimeError as error:
        shape = tuple(torch.as_tensor(fill).shape)
        raise DataError(f"occlusion: a fill of shape {shape} does not fit images {tuple(images.shape)}") from error


def _blurred(images: torch.Tensor, places: Windows) -> torch.Tensor:
    """The images behind a Gaussian of half a window, by two passes of weights that sum to one at the border too."""
    for axis, (side, count) in enumerate(zip(places.size, places.plane), start=2):
        at = torch.arange(count, device=images.device, dtype=torch.float32)
        weights = torch.exp(-0.5 * ((at[:, None] - at) / max(side / 2, 0.5)) ** 2)
        weights = (weights / weights.sum(1, keepdim=True)).to(images)
        images = torch.tensordot(images, weights, ([axis], [1])).movedim(-1, axis)
    return images


FILLS: dict[str, Callable[[torch.Tensor, Windows], torch.Tensor]] = {
    "gray": lambda images, places: images.new_full((1, 1, 1, 1), 0.5).expand_as(images),
    "mean": lambda images, places: images.mean((2, 3), keepdim=True).expand_as(images),
    "blur": _blurred,
}


def _pair(value: int | tuple[int, int] | None, default: tuple[int, ...]) -> tuple[int, int]:
    if value is None:
        return default[0], default[1]
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
