"""What a cue is: a part of the image that can be read alone and put into another image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cnnaudit.core.errors import DataError

#: A classifier as a black box: images (N, C, H, W) in [0, 1] -> logits or probabilities (N, K).
Predict = Callable[[Tensor], Tensor]


@runtime_checkable
class Cue(Protocol):
    """A part of the image; a user's own cue is any object with these three members.

    Contract, where nothing clips: `read(transplant(a, b))` equals `read(b)`, and `transplant(a, a)` equals `a`. Both
    functions work image by image, on the images' device, and leave their arguments unchanged.
    """

    @property
    def name(self) -> str:
        """What messages and reports call the cue."""
        ...

    def read(self, images: Tensor) -> Tensor:
        """All that a learner restricted to this cue would see: (N, C, H, W) in [0, 1] -> (N, F)."""
        ...

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the cue of the donors, the rest untouched: two (N, C, H, W) -> (N, C, H, W) in [0, 1]."""
        ...


@runtime_checkable
class PlacedCue(Cue, Protocol):
    """A cue with a place, which can be filled from what surrounds it and has a control where there are two classes."""

    def erase(self, images: Tensor) -> Tensor:
        """The images with the cue's place filled from the pixels around it."""
        ...

    def surroundings(self, images: Tensor) -> Tensor:
        """The pixels around the cue's place, by which donors are chosen that fit in: (N, F)."""
        ...

    def transplant_elsewhere(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with something else of the same donors at the cue's place."""
        ...


def check_images(images: Tensor, cue: str) -> None:
    """Refuses what is not a batch of images.

    Raises:
        DataError: not a floating-point tensor of shape (N, C, H, W).
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError(
            f"cue '{cue}': expected floating-point images of shape (N, C, H, W), got {tuple(images.shape)} of "
            f"{images.dtype}. Divide bytes by 255 and add the missing axes"
        )


def check_pair(images: Tensor, donors: Tensor, cue: str) -> None:
    """Refuses donors that do not fit the images.

    Raises:
        DataError: the shapes differ, or either is not a batch of images.
    """
    check_images(images, cue)
    check_images(donors, cue)
    if images.shape != donors.shape:
        raise DataError(
            f"cue '{cue}': expected one donor of the same shape for each image, got images {tuple(images.shape)} and "
            f"donors {tuple(donors.shape)}. Resize them alike and repeat donors where there are too few"
        )


def gray(images: Tensor) -> Tensor:
    """The mean over channels, (N, C, H, W) -> (N, 1, H, W)."""
    return images.mean(dim=1, keepdim=True)


def spread(values: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Standard deviation over some axes, which are kept; divided by n, so that one value has spread 0."""
    return torch.std(values, dim=dim, correction=0, keepdim=True)
