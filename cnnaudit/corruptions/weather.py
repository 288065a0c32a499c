"""Weather and light: snow, frost, fog, a bright sun."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnaudit.corruptions import filters

_LUMA = (0.299, 0.587, 0.114)
_ICE = (0.86, 0.95, 1.0)  # the tint of frost, red to blue


def snow(images: torch.Tensor, setting: tuple[float, ...], size: float, generator: torch.Generator) -> torch.Tensor:
    """A whitened image, and on it flakes of thresholded noise that fall in two opposite slants."""
    mean, spread, zoom, threshold, radius, deviation, kept = setting
    n, channels, height, width = images.shape
    flakes = (mean + spread * torch.randn((n, 1, height, width), generator=generator)).to(images)
    flakes = filters.zoom_in(flakes, max(zoom * size, 1.0))
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    angles = -135 + 90 * torch.rand(n, generator=generator)
    flakes = filters.motion(flakes, radius * size, deviation * size, angles)
    gray = images
    if channels == 3:
        gray = (images * torch.tensor(_LUMA).to(images).view(1, 3, 1, 1)).sum(1, keepdim=True)
    whitened = kept * images + (1 - kept) * torch.maximum(images, 1.5 * gray + 0.5)
    return whitened + flakes + flakes.rot90(2, (2, 3))


def frost(images: torch.Tensor, setting: tuple[float, float], size: float, generator: torch.Generator) -> torch.Tensor:
    """A share of the image and a share of `ice`, added."""
    n, channels, height, width = images.shape
    tint = torch.tensor(_ICE if channels == 3 else (sum(a * b for a, b in zip(_ICE, _LUMA)),))
    layer = ice(n, height, width, generator)[:, None] * tint.view(1, -1, 1, 1)
    return setting[0] * images + setting[1] * layer.to(images)


def ice(n: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Frost on a window, drawn: (n, height, width) in [0, 1], needles of ice that thin out in places.

    The publication takes crops of six photographs of frost, which are not part of this package. Here points of noise
    are drawn out in three random directions, over plasma clouds, at a mean brightness of about .45.
    """
    side, size = max(height, width), min(height, width) / 224
    clouds = plasma(n, side, 1.7, uniform(n, generator))[:, :height, :width]
    needles = torch.zeros(n, 1, height, width)
    for _ in range(3):
        points = (torch.rand((n, 1, height, width), generator=generator) < 0.015).float()
        points = filters.zoom_in(points, max(2 * size, 1.0))
        angles = 360 * torch.rand(n, generator=generator)
        drawn = filters.motion(points, max(20 * size, 2.0), max(8 * size, 1.0), angles)
        needles = torch.maximum(needles, drawn / drawn.amax((1, 2, 3), keepdim=True).clamp_min(1e-12))
    return (0.25 + 0.35 * clouds + 0.6 * needles[:, 0].sqrt() * (0.3 + 0.7 * clouds)).clamp(0, 1)


def fog(images: torch.Tensor, setting: tuple[float, float], size: float, generator: torch.Generator) -> torch.Tensor:
    """Plasma clouds added, then scaled back to the image's own largest value."""
    thickness, decay = setting
    n, _, height, width = images.shape
    clouds = plasma(n, max(height, width), decay, uniform(n, generator))[:, None, :height, :width].to(images)
    largest = images.amax((1, 2, 3), keepdim=True)
    return (images + thickness * clouds) * largest / (largest + thickness)


def brightness(images: torch.Tensor, added: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """The value of HSV, the largest channel, raised; hue and saturation are kept, so all channels grow alike."""
    value = images.amax(1, keepdim=True)
    raised = (value + added).clamp(max=1)
    return torch.where(value > 0, images * raised / value.clamp_min(1e-12), raised)


def uniform(n: int, generator: torch.Generator) -> Callable[[int, int], torch.Tensor]:
    """Draws (n, rows, columns) from -1 to 1."""
    return lambda rows, columns: 2 * torch.rand((n, rows, columns), generator=generator, dtype=torch.float64) - 1


def plasma(n: int, side: int, decay: float, draw: Callable[[int, int], torch.Tensor]) -> torch.Tensor:
    """Clouds by the diamond-square algorithm, (n, m, m) in [0, 1], m the next power of two from `side` on.

    Each new point is the mean of its four neighbors, over the border too, and a random part whose size is divided by
    `decay` from one scale to the next finer; `draw(rows, columns)` gives it, from -1 to 1.
    """
    m = 1 << max(1, (side - 1).bit_length())
    clouds = torch.zeros(n, m, m, dtype=torch.float64)
    step, wobble = m, 100.0
    while step >= 2:
        half, points = step // 2, m // step

        def moved(total: torch.Tensor, size: float = wobble, count: int = points) -> torch.Tensor:
            return total / 4 + size**2 * draw(count, count)

        corners = clouds[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        clouds[:, half::step, half::step] = moved(pairs + pairs.roll(-1, 2))
        middles, corners = clouds[:, half::step, half::step], clouds[:, ::step, ::step]
        clouds[:, ::step, half::step] = moved(middles + middles.roll(1, 1) + corners + corners.roll(-1, 2))
        clouds[:, half::step, ::step] = moved(middles + middles.roll(1, 2) + corners + corners.roll(-1, 1))
        step, wobble = half, wobble / decay
    clouds -= clouds.amin((1, 2), keepdim=True)
    return (clouds / clouds.amax((1, 2), keepdim=True).clamp_min(1e-12)).float()
