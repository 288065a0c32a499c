"""Changes of an image that a classifier may claim not to mind.

What a change brings into view from beyond the border is the image mirrored at its edge (`d c b a | a b c d`): it keeps
texture and noise as they are, where repeating the edge pixel would draw stripes and a constant would draw an edge.
Interpolation is bicubic, which smooths noise less than bilinear does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional


def rotate(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Turn each image (N, C, H, W) counter-clockwise about its center by its own angle (N,), in degrees.

    Example:
        >>> image = torch.rand(1, 1, 4, 4)
        >>> torch.allclose(rotate(image, torch.tensor([90.0])), image.rot90(1, (2, 3)), atol=1e-5)
        True
    """
    angle = torch.deg2rad(degrees.to(images))
    return _warp(images, angle.cos(), angle.sin())


def zoom(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Show each image (N, C, H, W) that many times (N,) as large, about its center; factors above 0.

    Example:
        >>> zoom(torch.rand(2, 3, 8, 8), torch.tensor([0.8, 1.25])).shape
        torch.Size([2, 3, 8, 8])
    """
    inverse = 1 / factors.to(images)
    return _warp(images, inverse, torch.zeros_like(inverse))


def shift(images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Move each image (N, C, H, W) by its own whole pixels (N, 2): down, then right; no value is interpolated.

    Example:
        >>> shift(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[0, 1]])).tolist()
        [[[[1.0, 1.0, 2.0]]]]
    """
    n, c, h, w = images.shape
    offsets = offsets.to(images.device)
    rows = _mirrored(torch.arange(h, device=images.device) - offsets[:, :1], h)
    columns = _mirrored(torch.arange(w, device=images.device) - offsets[:, 1:], w)
    moved = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
    return moved.gather(3, columns[:, None, None, :].expand(n, c, h, w))


def add_noise(images: torch.Tensor, deviations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add Gaussian noise of each image's own standard deviation (N,), cut off to the range [0, 1]."""
    noise = torch.randn(images.shape, generator=generator).to(images)
    return (images + deviations.to(images).view(-1, 1, 1, 1) * noise).clamp(0, 1)


def invert(images: torch.Tensor) -> torch.Tensor:
    """Exchange black and white: 1 - x."""
    return 1 - images


@dataclass(frozen=True)
class Variation:
    """A claimed kind of change: `apply(images, limit, generator)` draws one change per image within the limit.

    Attributes:
        claim: the attribute of `Claims` that holds the limit.
        apply: gives the changed images and the magnitude of each change (N,), in `unit`.
        phrase: the change in words, with `{limit}`.
    """

    claim: str
    unit: str
    phrase: str
    apply: Callable[[torch.Tensor, float, torch.Generator], tuple[torch.Tensor, torch.Tensor]]


def _random_rotation(
    images: torch.Tensor, limit: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    angles = _upper_half(len(images), limit, generator) * _sign(len(images), generator)
    return rotate(images, angles), angles


def _random_shift(images: torch.Tensor, limit: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    n, largest = len(images), int(limit)
    reach = torch.randint((largest + 1) // 2, largest + 1, (n,), generator=generator)
    along = reach * _sign(n, generator).long()
    across = (torch.rand(n, generator=generator) * (2 * reach + 1)).long() - reach
    first = torch.rand(n, generator=generator) < 0.5
    offsets = torch.stack((torch.where(first, along, across), torch.where(first, across, along)), 1)
    return shift(images, offsets), reach.float()


def _random_zoom(images: torch.Tensor, limit: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    exponents = _upper_half(len(images), 1, generator) * _sign(len(images), generator)
    factors = limit**exponents
    return zoom(images, factors), factors


def _random_noise(images: torch.Tensor, limit: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    deviations = _upper_half(len(images), limit, generator)
    return add_noise(images, deviations, generator), deviations


def _inversion(images: torch.Tensor, limit: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return invert(images), torch.ones(len(images))


#: The kinds of change a file can claim, by the part of the finding's id.
VARIATIONS: Mapping[str, Variation] = {
    "rotation": Variation("rotation_degrees", "degrees", "turned by up to {limit:g} degrees", _random_rotation),
    "translation": Variation("translation_pixels", "px", "shifted by up to {limit:g} pixels", _random_shift),
    "scale": Variation("scale", "times", "shown up to {limit:g} times larger or smaller", _random_zoom),
    "polarity": Variation("polarity", "", "shown with black and white exchanged", _inversion),
    "noise": Variation(
        "noise", "standard deviation", "given noise of up to {limit:g} standard deviation", _random_noise
    ),
}


def _upper_half(n: int, limit: float, generator: torch.Generator) -> torch.Tensor:
    """n uniform draws from limit / 2 to limit."""
    return limit * (1 + torch.rand(n, generator=generator)) / 2


def _sign(n: int, generator: torch.Generator) -> torch.Tensor:
    """n signs, -1 or 1."""
    return 2.0 * torch.randint(2, (n,), generator=generator) - 1


def _mirrored(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions folded back into 0..size-1 by mirroring at the edges, the edge pixel counted twice."""
    folded = positions.remainder(2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)


def _warp(images: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Read each image at (x, y) -> (cosine x - sine y, sine x + cosine y), in pixels about its center."""
    _, _, h, w = images.shape
    matrix = torch.stack(
        (
            torch.stack((cosine, -sine * h / w, torch.zeros_like(sine)), 1),
            torch.stack((sine * w / h, cosine, torch.zeros_like(sine)), 1),
        ),
        1,
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    read = functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return read.clamp(0, 1)
