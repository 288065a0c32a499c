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
_ZERO = 1 / 255


@dataclass(frozen=True)
class Compression:
    """The fine detail of each block of 8 x 8 pixels, by discrete cosine transform. Read it before any resizing.

    Example:
        >>> Compression().read(torch.zeros(2, 3, 16, 17)).shape
        torch.Size([2, 5])
    """

    name: str = "compression"

    def read(self, images: Tensor) -> Tensor:
        """Of the gray image's fine coefficients: the share below 1/255, and log mean sizes of four groups: (N, 5).

        Raises:
            UnsupportedError: images smaller than a block.
        """
        check_images(images, self.name)
        size = _coefficients(images.mean(dim=1, keepdim=True)).abs()
        order = _order(images)
        zero = (size < _ZERO).to(images.dtype)[..., order >= FINE].flatten(1).mean(dim=1)
        groups = [(order >= low) & (order < low + 3) for low in range(FINE, 15, 3)]
        sizes = [size[..., group].flatten(1).mean(dim=1).clamp_min(_LEAST).log() for group in groups]
        return torch.stack([zero, *sizes], dim=1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' fine coefficients, clipped to [0, 1]; pixels beyond the last block stay."""
        check_pair(images, donors, self.name)
        fine = (_order(images) >= FINE).to(images.dtype)
        change = _coefficients(donors - images) * fine
        basis = _basis(images)
        blocks = basis.T @ change @ basis
        rows, columns = blocks.shape[2] * BLOCK, blocks.shape[3] * BLOCK
        changed = images.clone()
        changed[:, :, :rows, :columns] += blocks.transpose(3, 4).reshape(*images.shape[:2], rows, columns)
        return changed.clamp(0, 1)


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
