"""How alike two pictures are, whatever was done to one of them: spectra to find candidates, details to compare them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_FLAT = 0.004  # details below one of 256 gray levels are rounding
_LUMA = (0.299, 0.587, 0.114)  # what JPEG keeps best
_FREQUENCIES = 7
_TRANSFORM = 32  # points of the Fourier transform on each axis
_SHIFT = 2  # pixels
_STEPS = (-1.0, -0.5, 0.5, 1.0)  # pixels around one of these
_PROMISING = 0.5  # a copy has at least that much a pixel beside its crop
_FINE, _COARSE = 0.7, 2.0  # difference of Gaussians: standard deviations in pixels


def moved(images: torch.Tensor, turns: int, mirror: bool, zoom: float) -> torch.Tensor:
    """The images turned, mirrored, and cropped where `zoom` is above 0."""
    import torch

    turned = torch.rot90(images, turns, (2, 3))
    return zoomed(turned.flip(3) if mirror else turned, max(zoom, 0))


def gray(thumbnails: np.ndarray) -> torch.Tensor:
    """Gray images, float32 (n, 1, h, w) in [0, 1], of thumbnails, uint8 (n, C, h, w)."""
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(thumbnails)).float() / 255
    channels = pixels.shape[1]
    weights = torch.tensor(_LUMA) if channels == 3 else torch.full((channels,), 1 / channels)
    return (pixels * weights.view(1, -1, 1, 1)).sum(dim=1, keepdim=True)


def spectrum(images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, 91): log(1 + |F|) at the lowest frequencies of the images (n, 1, h, w) less their mean.

    A Hann window (raised by .08) keeps the edges from speaking. Shifts hardly change it, half turns not at all.
    """
    import torch

    windows = [torch.hann_window(side, periodic=False) + 0.08 for side in images.shape[2:]]
    centered = (images - images.mean(dim=(2, 3), keepdim=True))[:, 0] * windows[0][:, None] * windows[1]
    low = _FREQUENCIES
    magnitude = torch.fft.rfft2(centered, s=(_TRANSFORM, _TRANSFORM)).abs()[:, :, :low]
    return _standardized(torch.log1p(torch.cat([magnitude[:, -low + 1 :], magnitude[:, :low]], dim=1)).flatten(1))


def zoomed(images: torch.Tensor, pixels: float) -> torch.Tensor:
    """The images cropped by so many pixels on each side and enlarged to their old size."""
    from torch.nn import functional

    if not pixels:
        return images
    import torch

    height, width = images.shape[2:]
    scale = torch.tensor([[[1 - 2 * pixels / width, 0, 0], [0, 1 - 2 * pixels / height, 0]]])
    grid = functional.affine_grid(scale, [1, 1, height, width], align_corners=False).expand(len(images), -1, -1, -1)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def aligned_similarity(
    images: torch.Tensor, others: torch.Tensor, turns: int, mirror: bool, zoom: float
) -> torch.Tensor:
    """Similarity (n,) of pairs of gray images (n, 1, h, w), the largest one around that turn, mirroring and crop."""
    import torch

    upright = moved(images, turns, mirror, 0)
    halves = [upright, upright.flip((2, 3))]
    scores = torch.stack([_similarity(half, others, zoom) for half in halves])
    chosen = torch.where((scores[0] >= scores[1]).view(-1, 1, 1, 1), *halves)
    best = scores.amax(dim=0)
    rows = torch.nonzero(best >= _PROMISING)[:, 0]
    for step in _STEPS if len(rows) else ():
        best[rows] = torch.maximum(best[rows], _similarity(chosen[rows], others[rows], zoom + step))
    return best


def _similarity(images: torch.Tensor, others: torch.Tensor, zoom: float) -> torch.Tensor:
    """The similarity at one crop, the largest one over shifts: (n,)."""
    pair = (zoomed(images, max(zoom, 0)), zoomed(others, max(-zoom, 0)))
    return _correlations(*(_blurred(of, _FINE) - _blurred(of, _COARSE) for of in pair)).amax(dim=1)


def _correlations(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Correlation of the images' inner parts with the others', shifted by up to 2 pixels each way: (n, 25)."""
    from torch.nn import functional

    height, width = images.shape[2:]
    edge = _SHIFT + (2 if min(height, width) >= 16 else 0)  # Gaussians see beyond the border of a copy that was moved
    inner = images[:, :, edge : height - edge, edge : width - edge]
    size, pixels = inner.shape[2:], inner[0].numel()
    inner = (inner - inner.mean(dim=(2, 3), keepdim=True)).flatten(1)
    rest = edge - _SHIFT
    reached = others[:, :, rest : height - rest, rest : width - rest]
    windows = functional.unfold(reached, size)
    products = (inner[:, None] @ windows)[:, 0]
    mean, square = (_means(of, size) for of in (reached, reached**2))
    spread, other_spread = inner.norm(dim=1, keepdim=True) / pixels**0.5, (square - mean**2).clamp(min=0).sqrt()
    scores = products / pixels / (spread * other_spread).clamp(min=1e-12)
    told: torch.Tensor = scores * (spread >= _FLAT) * (other_spread >= _FLAT)
    return told


def _means(images: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Means (n, 25) over windows of that size at each shift: two products, as in `_blurred`."""
    import torch

    rows, columns = (
        torch.ones(2 * _SHIFT + 1, whole).tril(part - 1).triu() / part for whole, part in zip(images.shape[2:], size)
    )
    return (rows @ images @ columns.T).flatten(1)


def _blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """The images (n, 1, h, w) under a Gaussian, the border pixels repeated: two products, faster than convolutions."""
    height, width = images.shape[2:]
    reach = min(int(np.ceil(2.5 * sigma)), min(height, width) - 1)
    return _gaussian(height, sigma, reach) @ images @ _gaussian(width, sigma, reach).T


@functools.cache
def _gaussian(side: int, sigma: float, reach: int) -> torch.Tensor:
    """(side, side): row i holds the weights of the pixels that make pixel i."""
    import torch

    weights = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma**2))
    sources = (torch.arange(side)[:, None] + torch.arange(-reach, reach + 1)).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add_(1, sources, (weights / weights.sum()).expand(side, -1).contiguous())


def _standardized(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (n, d) of mean 0 and norm 1; 0 where they are constant."""
    centered = vectors - vectors.mean(dim=1, keepdim=True)
    standard: torch.Tensor = centered / centered.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return standard
