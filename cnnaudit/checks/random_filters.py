"""Features of random 3x3 filters: what a convolutional network could see of an image before it has learned anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

FILTERS = 32
GRID = 4
_BATCH = 1024


def random_filters(channels: int, filters: int = FILTERS) -> torch.Tensor:
    """Random 3x3 filters (filters, channels, 3, 3), each of mean 0 and norm 1; the same ones every time.

    Mean 0: a filter answers to a change of brightness, not to brightness.
    """
    import torch

    drawn = torch.randn(filters, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    centered = drawn - drawn.mean(dim=(1, 2, 3), keepdim=True)
    unit: torch.Tensor = centered / centered.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return unit


def filter_features(thumbnails: np.ndarray) -> np.ndarray:
    """Features of images: float32 (n, 512), the largest response of each random filter in each cell of a 4 x 4 grid.

    Args:
        thumbnails: uint8 or float (n, C, h, w) with sides of at least 3, as in `Scan.thumbnails`.

    Raises:
        UnsupportedError: the images are smaller than the filters.
    """
    import torch
    from torch.nn import functional

    channels, height, width = thumbnails.shape[1:]
    if min(height, width) < 3:
        raise UnsupportedError(f"images of {height} x {width} pixels are smaller than the 3 x 3 filters")
    grid = (min(GRID, height - 2), min(GRID, width - 2))
    weights = random_filters(channels)
    scale = 255 if thumbnails.dtype == np.uint8 else 1
    features = [
        functional.adaptive_max_pool2d(functional.conv2d(batch.float() / scale, weights).relu(), grid).flatten(1)
        for batch in torch.split(torch.from_numpy(np.ascontiguousarray(thumbnails)), _BATCH)
    ]
    found: np.ndarray = torch.cat(features).numpy()
    return found
