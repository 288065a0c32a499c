"""Color balance and saturation of the image, whatever its brightness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.protocol import check_images, check_pair, gray, spread

_LEAST = 1e-6


@dataclass(frozen=True)
class Color:
    """Balance and saturation of what is left of the channels when their mean, the gray image, is taken out.

    Example:
        >>> red = torch.tensor([0.9, 0.3, 0.3]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
        >>> [round(x, 2) for x in Color().read(red)[0].tolist()]
        [0.4, -0.2, -0.2, 0.0]
    """

    name: str = "color"

    def read(self, images: Tensor) -> Tensor:
        """Mean of each channel less the gray image, and the standard deviation around it: (N, C + 1).

        Raises:
            UnsupportedError: images of one channel have no color.
        """
        check_images(images, self.name)
        _, mean, deviation = _color(images)
        return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' balance and saturation, their own gray image kept, clipped to [0, 1]."""
        check_pair(images, donors, self.name)
        (color, mean, deviation), (_, wanted, wanted_deviation) = _color(images), _color(donors)
        painted = (color - mean) / deviation.clamp_min(_LEAST) * wanted_deviation + wanted
        return (gray(images) + painted).clamp(0, 1)


def _color(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The channels less the gray image (N, C, H, W), its mean (N, C, 1, 1) and its deviation (N, 1, 1, 1)."""
    if images.shape[1] < 2:
        raise UnsupportedError("color: images of one channel have no color")
    color = images - gray(images)
    mean = color.mean(dim=(2, 3), keepdim=True)
    return color, mean, spread(color - mean, (1, 2, 3))
