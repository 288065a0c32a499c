"""Fill an area of an image from what surrounds it."""

from __future__ import annotations

import torch
from torch import Tensor


def filled(areas: Tensor) -> Tensor:
    """The inside of areas, each pixel the mean of the four border pixels in its row and column, nearer ones more.

    A border pixel d pixels away has weight 1 / d; NaN, where the image ends, has none.

    Args:
        areas: (N, C, height + 2, width + 2), a border of one pixel around what is filled.

    Returns:
        (N, C, height, width); .5 where no side has a border.

    Example:
        >>> area = torch.full((1, 1, 3, 4), torch.nan)
        >>> area[..., 0], area[..., 3] = 0.0, 0.9
        >>> [round(value, 2) for value in filled(area)[0, 0, 0].tolist()]
        [0.3, 0.6]
    """
    height, width = areas.shape[2] - 2, areas.shape[3] - 2
    rows = torch.arange(1, height + 1, device=areas.device, dtype=areas.dtype)[:, None].expand(height, width)
    columns = torch.arange(1, width + 1, device=areas.device, dtype=areas.dtype)[None, :].expand(height, width)
    inside = (slice(1, -1), slice(1, -1))
    sides = [
        (areas[:, :, :1, inside[1]], rows),
        (areas[:, :, -1:, inside[1]], height + 1 - rows),
        (areas[:, :, inside[0], :1], columns),
        (areas[:, :, inside[0], -1:], width + 1 - columns),
    ]
    total = torch.zeros(areas.shape[0], areas.shape[1], height, width, device=areas.device, dtype=areas.dtype)
    weight = torch.zeros_like(total)
    for border, distance in sides:
        known = border.isfinite()
        total += torch.where(known, border, 0) / distance
        weight += known / distance
    return torch.where(weight > 0, total / weight.clamp_min(1e-9), 0.5)
