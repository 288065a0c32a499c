"""Images beside the change that made the model answer otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.optimization.single_pixel import Flip

SHOWN = 3  # pairs of images
SIDE = 96  # pixels shown of each image: three pairs of photographs stay near 150 kB
WINDOW = 48  # shown around one pixel


def pairs(
    title: str, originals: torch.Tensor, changed: torch.Tensor, captions: Sequence[tuple[str, str]]
) -> list[Evidence]:
    """Originals (n, C, H, W), each followed by its changed image, with a caption for either; nothing where n is 0."""
    if not len(originals):
        return []
    shown = torch.stack((originals[:SHOWN], changed[:SHOWN]), 1).flatten(0, 1)
    texts = [text for pair in captions[:SHOWN] for text in pair]
    return [evidence.images(title, small(shown).numpy(), texts)]


def flips(images: torch.Tensor, found: Sequence[Flip], classes: Sequence[str]) -> list[Evidence]:
    """What surrounds the pixel of the first flips, before and after."""
    originals = [_around(images[flip.image], flip.pixel) for flip in found[:SHOWN]]
    changed = [_around(flip.changed, flip.pixel) for flip in found[:SHOWN]]
    captions = [
        (classes[flip.before], f"{classes[flip.after]}: pixel {flip.pixel[0]}, {flip.pixel[1]}")
        for flip in found[:SHOWN]
    ]
    if not originals:
        return []
    return pairs("One pixel that changes the class", torch.stack(originals), torch.stack(changed), captions)


def _around(image: torch.Tensor, pixel: tuple[int, int]) -> torch.Tensor:
    """The part of an image (C, H, W) around a pixel, at most WINDOW pixels high and wide."""
    top, left = (
        min(max(0, at - WINDOW // 2), max(0, size - WINDOW)) for at, size in zip(pixel, image.shape[1:], strict=True)
    )
    return image[:, top : top + WINDOW, left : left + WINDOW]


def small(images: torch.Tensor) -> torch.Tensor:
    """The images with their longer side at most SIDE pixels."""
    factor = SIDE / max(images.shape[2:])
    if factor >= 1:
        return images
    size = [max(1, round(side * factor)) for side in images.shape[2:]]
    return functional.interpolate(images, size=size, mode="area")
