"""Blur: out of focus, through frosted glass, by motion, by zooming."""

from __future__ import annotations

import numpy as np
import torch

from cnnaudit.corruptions import filters


def defocus_blur(
    images: torch.Tensor, setting: tuple[float, float], size: float, generator: torch.Generator
) -> torch.Tensor:
    """Filtered by a disk of the given radius with a smoothed edge."""
    return filters.convolve(images, filters.disk(setting[0] * size, setting[1]))


def motion_blur(
    images: torch.Tensor, setting: tuple[float, float], size: float, generator: torch.Generator
) -> torch.Tensor:
    """Smeared along a random direction, up to 45 degrees from the horizontal."""
    radius, deviation = (value * size for value in setting)
    return filters.motion(images, radius, deviation, 90 * torch.rand(len(images), generator=generator) - 45)


def zoom_blur(
    images: torch.Tensor, setting: tuple[float, float], size: float, generator: torch.Generator
) -> torch.Tensor:
    """The mean of the image and of its center at all zooms from 1 to the largest."""
    zooms = np.arange(1, *setting)
    total = images.clone()
    for zoom in zooms.tolist():
        total += filters.zoom_in(images, zoom)
    return total / (len(zooms) + 1)


def glass_blur(
    images: torch.Tensor, setting: tuple[float, int, int], size: float, generator: torch.Generator
) -> torch.Tensor:
    """Blurred, its pixels exchanged with near ones, blurred again.

    The published loop goes from the last pixel to the first and copies one at up to `reach` pixels' distance; what it
    means to exchange it overwrites. `scattered` computes the same for all pixels at once.
    """
    deviation, reach, repetitions = setting[0] * size, max(1, round(setting[1] * size)), setting[2]
    n, _, height, width = images.shape
    shuffled = filters.gaussian_blur(images, deviation).flatten(2)
    inside = (n, height - 2 * reach, width - 2 * reach)
    for _ in range(repetitions if min(inside) > 0 else 0):
        right, down = (torch.randint(-reach, reach, inside, generator=generator) for _ in range(2))
        source = scattered(down, right, height, width).to(images.device)
        shuffled = shuffled.gather(2, source.flatten(1)[:, None].expand_as(shuffled))
    return filters.gaussian_blur(shuffled.view(images.shape), deviation)


def scattered(down: torch.Tensor, right: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Which pixel of the original each pixel ends with, (n, height, width), after copying one after the other.

    Pixels are visited from the last to the first, but for a frame; each takes what then is at its offset (`down`,
    `right`), (n, rows, columns): what a pixel visited before has taken already, or the original.
    """
    rows, columns = down.shape[1:]
    reach = (height - rows) // 2
    own = torch.arange(height * width).view(height, width)
    source = own.expand(len(down), -1, -1).clone()
    visited = torch.zeros(height, width, dtype=torch.bool)
    part = (slice(reach + 1, reach + 1 + rows), slice(reach + 1, reach + 1 + columns))
    visited[part] = True
    source[:, part[0], part[1]] += down * width + right
    source, own = source.flatten(1), own.flatten().expand(len(down), -1)
    later = torch.where(visited.flatten()[source] & (source > own), source, own)  # whose value is taken on the way
    while True:  # each round doubles how far a chain is followed
        further = later.gather(1, later)
        if torch.equal(further, later):
            return source.gather(1, later).view(-1, height, width)
        later = further
