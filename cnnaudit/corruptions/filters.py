"""Linear filters of images that the corruptions are made of, with the borders of the published definitions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

Fold = Callable[[torch.Tensor, int], torch.Tensor]


def nearest_edge(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions beyond the border are the pixel at the border: a a | a b c."""
    return positions.clamp(0, size - 1)


def mirrored(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions beyond the border are mirrored at the edge: b a | a b c."""
    folded = positions.remainder(2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)


def mirrored_within(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions beyond the border are mirrored at the border's pixel: c b | a b c."""
    folded = positions.remainder(max(2 * size - 2, 1))
    return torch.where(folded < size, folded, 2 * size - 2 - folded)


def gaussian(deviation: float, radius: int) -> torch.Tensor:
    """Weights exp(-i^2 / (2 deviation^2)) for i from -radius to radius, of sum 1, float64 (2 radius + 1,)."""
    if deviation <= 0 or radius == 0:
        return torch.nn.functional.one_hot(torch.tensor(radius), 2 * radius + 1).double()
    weights = torch.exp(-(torch.arange(-radius, radius + 1).double() ** 2) / (2 * deviation**2))
    return weights / weights.sum()


def band_matrix(size: int, weights: torch.Tensor, fold: Fold) -> torch.Tensor:
    """The filter as a matrix (size, size), which no border is too narrow for: wide filters fold more than once.

    Example:
        >>> band_matrix(2, torch.tensor([1.0, 2.0, 1.0]) / 4, mirrored).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    radius = len(weights) // 2
    positions = fold(torch.arange(size)[:, None] + torch.arange(-radius, radius + 1)[None, :], size)
    matrix = torch.zeros(size, size, dtype=weights.dtype)
    return matrix.scatter_add(1, positions, weights.expand(size, -1))


def both_axes(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """rows @ image @ columns^T for each image (…, H, W), with matrices (h, H) and (w, W)."""
    return rows.to(images) @ images @ columns.to(images).mT


def gaussian_blur(
    images: torch.Tensor, deviation: float, truncate: float = 4, fold: Fold = nearest_edge
) -> torch.Tensor:
    """Images (…, H, W) blurred as by `scipy.ndimage.gaussian_filter`, cut off at `truncate` deviations."""
    weights = gaussian(deviation, int(truncate * deviation + 0.5))
    rows, columns = (band_matrix(size, weights, fold) for size in images.shape[-2:])
    return both_axes(images, rows, columns)


def disk(radius: float, deviation: float) -> torch.Tensor:
    """A filled disk of sum 1, its edge smoothed by a Gaussian of 3 x 3 pixels (5 x 5 for a radius above 8)."""
    half = min(math.ceil(radius) + 2, 8) if radius <= 8 else math.ceil(radius)
    squares = torch.arange(-half, half + 1).double() ** 2
    filled = (squares[:, None] + squares[None, :] <= radius**2).double()
    smoothing = band_matrix(len(filled), gaussian(deviation, 1 if radius <= 8 else 2), mirrored_within)
    return both_axes(filled / filled.sum(), smoothing, smoothing)


def convolve(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) filtered by one kernel (k, k), mirrored within the border."""
    half = len(kernel) // 2
    rows, columns = (
        mirrored_within(torch.arange(-half, size + half, device=images.device), size) for size in images.shape[2:]
    )
    padded = images[:, :, rows][:, :, :, columns].flatten(0, 1)[:, None]
    return functional.conv2d(padded, kernel.to(images)[None, None]).view(images.shape)


def motion(images: torch.Tensor, radius: float, deviation: float, degrees: torch.Tensor) -> torch.Tensor:
    """Each image (N, C, H, W) smeared along its own direction (N,), as by ImageMagick's `-motion-blur`.

    Half a Gaussian: weights exp(-i^2 / (2 deviation^2)), i from 0 to 2 ceil(radius), at the pixels nearest to i steps
    along the direction (0: to the right, 90: down), the border's pixel repeated.
    """
    width = 2 * math.ceil(radius) + 1
    steps = torch.arange(width).double()
    weights = torch.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    angles = torch.deg2rad(degrees.detach().cpu().double())[:, None]
    right, down = ((torch.ceil(steps * part - 0.5)).long() for part in (angles.cos(), angles.sin()))
    margin, (height, across) = width - 1, images.shape[2:]
    padded = functional.pad(images, (margin,) * 4, mode="replicate")
    blurred = torch.zeros_like(images)
    for n in range(len(images)):
        for weight, x, y in zip(weights.tolist(), right[n].tolist(), down[n].tolist()):
            top, left = margin + y, margin + x
            blurred[n].add_(padded[n, :, top : top + height, left : left + across], alpha=weight)
    return blurred


def zoom_in(images: torch.Tensor, factor: float) -> torch.Tensor:
    """The center of each image (N, C, H, W), shown that many times as large, bilinear; a factor of at least 1."""
    height, width = images.shape[2:]
    seen = [math.ceil(side / factor) for side in (height, width)]
    top, left = ((side - part) // 2 for side, part in zip((height, width), seen))
    center = images[:, :, top : top + seen[0], left : left + seen[1]]
    size = [round(part * factor) for part in seen]
    zoomed = functional.interpolate(center, size=size, mode="bilinear", align_corners=True)
    top, left = ((part - side) // 2 for side, part in zip((height, width), size))
    return zoomed[:, :, top : top + height, left : left + width]


def box_matrix(size: int, wanted: int) -> torch.Tensor:
    """Pillow's BOX resizing as a matrix (wanted, size): the mean of the pixels whose centers lie in each new pixel."""
    factor = size / wanted
    centers = (torch.arange(wanted).double()[:, None] + 0.5) * factor
    places = (torch.arange(size).double()[None, :] - centers + 0.5) / max(factor, 1.0)
    matrix = ((places > -0.5) & (places <= 0.5)).double()
    return matrix / matrix.sum(1, keepdim=True)
