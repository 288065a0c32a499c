"""The blocks of 8 x 8 pixels that JPEG compresses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.protocol import check_images, check_pair

BLOCK = 8
#: Coefficients whose two frequencies add up to at least this are fine detail, which compression drops first.
FINE = 5
_LEAST = 1e-5


@dataclass(frozen=True)
class Compression:
    """The fine detail of each block of 8 x 8 pixels, by discrete cosine transform. Read it before any resizing.

    Example:
        >>> Compression().read(torch.zeros(2, 3, 16, 17)).shape
        torch.Size([2, 4])
    """

    name: str = "compression"

    def read(self, images: Tensor) -> Tensor:
        """Logarithms of the mean size of the gray image's fine coefficients, in four groups: (N, 4).

        Raises:
            UnsupportedError: images smaller than a block.
        """
        check_images(images, self.name)
        return _sizes(images).log()

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with each group of fine coefficients scaled to the donors' size, clipped to [0, 1].

        Coefficients of another image would not fit this one's coarse ones: the seams between blocks are themselves what
        a network knows compression by (control .35 on digits, scaled .0). Pixels beyond the last block stay.
        """
        check_pair(images, donors, self.name)
        factors = _sizes(donors) / _sizes(images) - 1
        weights = (factors @ _groups(images).flatten(1)).view(-1, 1, 1, 1, BLOCK, BLOCK)
        basis = _basis(images)
        blocks = basis.T @ (_coefficients(images) * weights) @ basis
        rows, columns = blocks.shape[2] * BLOCK, blocks.shape[3] * BLOCK
        changed = images.clone()
        changed[:, :, :rows, :columns] += blocks.transpose(3, 4).reshape(*images.shape[:2], rows, columns)
        return changed.clamp(0, 1)


def _sizes(images: Tensor) -> Tensor:
    """Mean size of the gray image's coefficients per group, (N, 4)."""
    size = _coefficients(images.mean(dim=1, keepdim=True)).abs().mean(dim=(1, 2, 3)).flatten(1)
    groups = _groups(images).flatten(1)
    return (size @ groups.T / groups.sum(dim=1)).clamp_min(_LEAST)


def _groups(images: Tensor) -> Tensor:
    """Which fine coefficients belong to which of the four groups: 0 or 1, (4, 8, 8)."""
    order = _order(images)
    return torch.stack([(order >= low) & (order < low + 3) for low in range(FINE, 15, 3)]).to(images.dtype)


def _coefficients(images: Tensor) -> Tensor:
    """Cosine coefficients of each whole block: (N, C, rows, columns, 8, 8)."""
    rows, columns = (length // BLOCK for length in images.shape[2:])
    if min(rows, columns) < 1:
        height, width = images.shape[2:]
        raise UnsupportedError(f"compression: images of {height}x{width} pixels are smaller than a block of 8x8")
    whole = images[:, :, : rows * BLOCK, : columns * BLOCK]
    blocks = whole.reshape(*images.shape[:2], rows, BLOCK, columns, BLOCK).transpose(3, 4)
    basis = _basis(images)
    return basis @ blocks @ basis.T


def _basis(images: Tensor) -> Tensor:
    """The orthonormal cosine basis, (8, 8): a frequency per row."""
    place = torch.arange(BLOCK, device=images.device, dtype=images.dtype)
    basis = torch.cos(math.pi / BLOCK * place[:, None] * (place[None, :] + 0.5)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis


def _order(images: Tensor) -> Tensor:
    """Sum of both frequencies of each coefficient, 0..14: (8, 8)."""
    place = torch.arange(BLOCK, device=images.device)
    return place[:, None] + place[None, :]
