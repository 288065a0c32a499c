"""The outer ring of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.protocol import check_images, check_pair


@dataclass(frozen=True)
class Ring:
    """The outermost pixels on all four sides: a sixteenth of the shorter side wide, 2 pixels of 28 and 14 of 224.

    Example:
        >>> Ring().read(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 208])
    """

    name: str = "ring"

    def read(self, images: Tensor) -> Tensor:
        """The ring's pixels, (N, C * pixels of the ring).

        Raises:
            UnsupportedError: images of fewer than 3 pixels on a side have no interior.
        """
        check_images(images, self.name)
        return images[:, :, _outside(images)].flatten(1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' ring around them; refuses as `read` does."""
        check_pair(images, donors, self.name)
        return torch.where(_outside(images), donors, images)


def _outside(images: Tensor) -> Tensor:
    """True in the ring: bool (H, W)."""
    height, width = images.shape[2:]
    if min(height, width) < 3:
        raise UnsupportedError(f"ring: images of {height}x{width} pixels have no interior; 3x3 is the least")
    wide = max(1, round(min(height, width) / 16))
    outside = torch.ones(height, width, dtype=torch.bool, device=images.device)
    outside[wide:-wide, wide:-wide] = False
    return outside
