"""What smooths an image between steps, so that no ripples of single pixels build up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian blur of standard deviation `sigma` pixels.

    Source: J. Yosinski et al., Understanding neural networks through deep visualization, 2015.
    """

    sigma: float = 0.5

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The images (n, C, H, W), blurred."""
        from torchvision.transforms.functional import gaussian_blur

        side = min(2 * max(1, round(3 * self.sigma)) + 1, (min(images.shape[2:]) - 1) // 2 * 2 + 1)
        blurred: torch.Tensor = gaussian_blur(images, [side, side], [self.sigma, self.sigma])
        return blurred


@dataclass(frozen=True)
class Bilateral:
    """A bilateral filter: a mean of the neighbors, those of another color counting less, so edges stay sharp.

    I'(p) = sum_q w(p, q) I(q) / sum_q w(p, q), w = exp(-|p - q|^2 / 2 space^2 - |I(p) - I(q)|^2 / 2 color^2), over
    the neighbors q up to `radius` pixels away in each axis.

    Source: C. Tomasi and R. Manduchi, 1998; M. Tyka, Class visualization with bilateral filters, 2016.
    """

    space: float = 1.0
    color: float = 0.2
    radius: int = 2

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The images (n, C, H, W), smoothed within their edges."""
        height, width = images.shape[2:]
        around = functional.pad(images, [self.radius] * 4, mode="replicate")
        total, weights = torch.zeros_like(images), images.new_zeros(len(images), 1, height, width)
        for row, column in product(range(2 * self.radius + 1), repeat=2):
            neighbor = around[:, :, row : row + height, column : column + width]
            away = ((row - self.radius) ** 2 + (column - self.radius) ** 2) / (2 * self.space**2)
            unlike = (neighbor - images).square().sum(1, keepdim=True) / (2 * self.color**2)
            weight = (-away - unlike).exp()
            total, weights = total + weight * neighbor, weights + weight
        return total / weights
