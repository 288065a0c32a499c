"""Brightness and contrast of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.cues.protocol import check_images, check_pair, spread

_AXES = (1, 2, 3)
_LEAST = 1e-6


@dataclass(frozen=True)
class Tone:
    """Mean and standard deviation of an image over all pixels and channels.

    Example:
        >>> Tone().read(torch.full((1, 3, 4, 4), 0.5)).tolist()
        [[0.5, 0.0]]
    """

    name: str = "tone"

    def read(self, images: Tensor) -> Tensor:
        """Mean and standard deviation, (N, 2)."""
        check_images(images, self.name)
        return torch.cat(_moments(images), dim=1).flatten(1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' brightness and contrast, clipped to [0, 1]; a constant image stays constant."""
        check_pair(images, donors, self.name)
        (mean, deviation), (wanted, wanted_deviation) = _moments(images), _moments(donors)
        return ((images - mean) / deviation.clamp_min(_LEAST) * wanted_deviation + wanted).clamp(0, 1)


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each (N, 1, 1, 1)."""
    return images.mean(dim=_AXES, keepdim=True), spread(images, _AXES)
