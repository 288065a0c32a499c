"""Brightness and contrast of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.cues.protocol import check_images, check_pair

_LEAST = 1e-6
_EXPONENT = 4.0


@dataclass(frozen=True)
class Tone:
    """Black point, white point and median of an image: its tone curve, over all pixels and channels.

    A gain of .9 lowers the white point to .9, where mean and standard deviation hide it among images of other content.
    The median is none of the ink on a plain ground, so that the curve does not stand for the object's size.

    Example:
        >>> Tone().read(torch.full((1, 3, 4, 4), 0.5)).tolist()
        [[0.5, 0.5, 0.5]]
    """

    name: str = "tone"

    def read(self, images: Tensor) -> Tensor:
        """The smallest value, the largest and the (lower) median, (N, 3)."""
        check_images(images, self.name)
        return torch.stack(_points(images), dim=1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images by the power curve that gives them the donors' black point, white point and median.

        Where that takes an exponent beyond 1/4 to 4, the nearest is taken; a constant image takes the donors' median.
        """
        check_pair(images, donors, self.name)
        (black, white, median), (new_black, new_white, new_median) = _points(images), _points(donors)
        width, new_width = (white - black).clamp_min(_LEAST), (new_white - new_black).clamp_min(_LEAST)
        own, wanted = (median - black) / width, (new_median - new_black) / new_width
        bounds = (_LEAST, 1 - _LEAST)
        exponent = (wanted.clamp(*bounds).log() / own.clamp(*bounds).log()).clamp(1 / _EXPONENT, _EXPONENT)
        exponent = torch.where((own <= 0) | (own >= 1), torch.ones_like(exponent), exponent)
        curved = ((images - _wide(black)) / _wide(width)).clamp(0, 1) ** _wide(exponent)
        curved = torch.where(_wide(white - black < _LEAST), _wide(wanted), curved)
        return _wide(new_black) + curved * _wide(new_white - new_black)


def _points(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest value, largest and median, each (N,)."""
    flat = images.flatten(1)
    return flat.amin(dim=1), flat.amax(dim=1), flat.median(dim=1).values


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
