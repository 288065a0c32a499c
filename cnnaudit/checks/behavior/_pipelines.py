"""Other ways from the same image to the model: resizing, JPEG, one pixel of crop, order of channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch.nn import functional

from cnnaudit.checks.behavior._perturbations import shift
from cnnaudit.corruptions import SMALLEST
from cnnaudit.corruptions.digital import jpeg
from cnnaudit.target import InputSpec

_ANTIALIASED = ("bilinear", "bicubic")


@runtime_checkable
class Originals(Protocol):
    """A split whose images can be had as they are stored."""

    def original(self, index: int) -> torch.Tensor:
        """The image before it is resized, float32 (C, h, w) in [0, 1]."""


@dataclass(frozen=True)
class Pipeline:
    """Another preparation.

    Attributes:
        name: in words, such as `JPEG 75`.
        change: gives the images (n, C, H, W) from those prepared as usual, or, where `stored`, one (1, C, H, W) from
            the image as it is stored (1, C, h, w).
        stored: whether it begins at the stored image.
        mistake: whether it is no variant but a mistake, shown for comparison and not judged.
    """

    name: str
    change: Callable[[torch.Tensor], torch.Tensor]
    stored: bool = False
    mistake: bool = False


def pipelines(spec: InputSpec, stored: bool) -> list[Pipeline]:
    """What is tried on images of that input; resizing only where the images can be had as they are stored."""
    found = [Pipeline("crop one pixel off", _one_pixel)]
    if min(spec.size) >= SMALLEST:
        found = [Pipeline(f"JPEG {quality}", partial(jpeg, quality=quality)) for quality in (95, 75)] + found
    if stored:
        found = [*_resizes(spec), *found]
    if spec.channels == 3:
        found.append(Pipeline("red and blue exchanged", lambda x: x.flip(1), mistake=True))
    return found


def _one_pixel(images: torch.Tensor) -> torch.Tensor:
    return shift(images, torch.ones(len(images), 2, dtype=torch.long))


def _resizes(spec: InputSpec) -> list[Pipeline]:
    """The described resizing by torch instead of Pillow, with and without antialiasing, and other interpolations."""
    own = spec.interpolation
    found = []
    if own in _ANTIALIASED:
        found = [("resizing by torch", own, True), ("no antialiasing", own, False)]
    elif own == "nearest":
        found = [("resizing by torch", "nearest-exact", False)]
    found += [(f"{other} resizing", other, True) for other in _ANTIALIASED if other != own]
    found.append(("area resizing", "area", False))
    return [
        Pipeline(name, partial(resized, spec=spec, mode=mode, antialias=antialias), stored=True)
        for name, mode, antialias in found
    ]


def resized(image: torch.Tensor, spec: InputSpec, mode: str, antialias: bool) -> torch.Tensor:
    """A stored image (1, C, h, w) resized by torch and cropped as `spec` says, rounded to 8 bits: (1, C, H, W).

    Example:
        >>> resized(torch.rand(1, 3, 60, 40), InputSpec(3, (24, 24), resize=30), "bilinear", True).shape
        torch.Size([1, 3, 24, 24])
    """
    from torchvision.transforms.functional import center_crop

    height, width = image.shape[2:]
    size = list(spec.size)
    if spec.resize is not None:  # as torchvision: the longer side is rounded down
        short, long = sorted((height, width))
        other = int(spec.resize * long / short)
        size = [spec.resize, other] if height <= width else [other, spec.resize]
    if size != [height, width]:
        smooth = {"align_corners": False, "antialias": antialias} if mode in _ANTIALIASED else {}
        image = functional.interpolate(image, size=size, mode=mode, **smooth)
    cropped: torch.Tensor = center_crop(image, list(spec.size))
    return (cropped.clamp(0, 1) * 255).round() / 255
