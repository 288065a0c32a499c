"""Brightness and contrast of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.cues.protocol import check_images, check_pair

_STEPS = 12
_LEAST = 1e-6
_EXPONENT = 4.0


@dataclass(frozen=True)
class Tone:
    """Black point, white point and brightness of an image: its tone curve, over all pixels and channels.

    A gain of .9 lowers the white point to .9, where mean and standard deviation hide it among images of other content.

    Example:
        >>> Tone().read(torch.full((1, 3, 4, 4), 0.5)).tolist()
        [[0.5, 0.5, 0.5]]
    """

    name: str = "tone"

    def read(self, images: Tensor) -> Tensor:
        """The smallest value, the largest and the mean, (N, 3)."""
        check_images(images, self.name)
        return torch.stack(_points(images), dim=1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images by the power curve that gives them the donors' black point, white point and mean.

        Where no exponent from e^-4 to e^4 gives the donors' mean (little ink on black), the nearest is taken; a
        constant image takes the donors' mean.
        """
        check_pair(images, donors, self.name)
        (black, white, mean), (new_black, new_white, new_mean) = _points(images), _points(donors)
        flat = (white - black) < _LEAST
        share = (new_mean - new_black) / (new_white - new_black).clamp_min(_LEAST)
        wide = _wide((white - black).clamp_min(_LEAST))
        values = ((images - _wide(black)) / wide).clamp(0, 1)
        curved = values ** _wide(_exponents(values, share))
        curved = torch.where(_wide(flat), _wide(share), curved)
        return _wide(new_black) + curved * _wide(new_white - new_black)


def _exponents(values: Tensor, wanted: Tensor) -> Tensor:
    """The exponents that give values in [0, 1] the wanted means, by Newton's method on their logarithms: (N,)."""
    logs = values.clamp_min(_LEAST).log().flatten(1)
    power = torch.zeros_like(wanted)
    for _ in range(_STEPS):
        curved = (logs * power.exp()[:, None]).exp()
        slope = (curved * logs).mean(dim=1) * power.exp()
        step = (curved.mean(dim=1) - wanted) / slope.clamp_max(-_LEAST)
        power = (power - step.clamp(-1, 1)).clamp(-_EXPONENT, _EXPONENT)
    return power.exp()


def _points(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest value, largest and mean, each (N,)."""
    flat = images.flatten(1)
    return flat.amin(dim=1), flat.amax(dim=1), flat.mean(dim=1)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
