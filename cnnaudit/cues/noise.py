"""The finest detail of the image, where sensors leave their noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.cues.protocol import check_images, check_pair
from cnnaudit.cues.spectrum import radius

#: Detail finer than this, in cycles per pixel, is the residual.
FINEST = 0.25
_LEAST = 1e-5


@dataclass(frozen=True)
class Noise:
    """The residual above a quarter of a cycle per pixel: its strength, and its floor in the plainest parts.

    Example:
        >>> Noise().read(torch.zeros(2, 1, 16, 16)).shape
        torch.Size([2, 3])
    """

    name: str = "noise"

    def read(self, images: Tensor) -> Tensor:
        """Logarithms of the standard deviation, the median and the 10 % quantile of the residual's size: (N, 3)."""
        check_images(images, self.name)
        size = _residual(images).abs().mean(dim=1).flatten(1)
        ordered = size.sort(dim=1).values
        floor, median = (ordered[:, int(share * (ordered.shape[1] - 1))] for share in (0.1, 0.5))
        return torch.stack([size.square().mean(dim=1).sqrt(), median, floor], dim=1).clamp_min(_LEAST).log()

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' residual in place of their own, clipped to [0, 1]."""
        check_pair(images, donors, self.name)
        return (images + _residual(donors - images)).clamp(0, 1)


def _residual(images: Tensor) -> Tensor:
    """What is finer than a quarter of a cycle per pixel; a projection, so that the residual of a residual is itself."""
    fine = (radius(images) > FINEST).to(images.dtype)
    residual: Tensor = torch.fft.ifft2(torch.fft.fft2(images) * fine).real
    return residual
