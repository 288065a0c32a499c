"""Pixels that many images of a class share at one place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.cues.edges import PLATEAU, differences, edge_codes

#: How far the differences to the neighbors may be from the pattern's, five levels of 255: honest content shares codes,
#: but not these. Largest constancy over pairs of classes: MNIST .40 by codes alone, .13 with a bound of .03; digits
#: enlarged from 8 x 8 .80 with .06, .31 with .02. Tags that were compressed after they were put in may be missed.
EXACT = 0.02


@dataclass(frozen=True, eq=False)
class Pattern:
    """Differences between neighbors, and plateaus, that many images of a class share at one place.

    Attributes:
        class_index: the class.
        top, left: first row and column of the window of edge codes.
        codes: uint8 (C, h, w), see `edge_codes`.
        wanted: bool (C, h, w), the pixels that belong to the pattern.
        usual: (2, C, h, w), the median differences to the right and to the lower neighbor.
        needed: how many of the wanted pixels an image must show to carry the pattern.
        constancy: P(an image carries it given the class) less the most of any other class, lesser of both splits.
        share: P(an image carries it given the class), lesser of both splits.
    """

    class_index: int
    top: int
    left: int
    codes: Tensor
    wanted: Tensor
    usual: Tensor
    needed: int
    constancy: float
    share: float

    @property
    def center(self) -> tuple[int, int]:
        """Row and column of the pixel in the middle of those that belong to the pattern."""
        top, left, bottom, right = self.box
        return (top + bottom + 1) // 2, (left + right + 1) // 2

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row and column, last row and column of the pixels that belong to the pattern."""
        rows, columns = torch.nonzero(self.wanted.any(dim=0), as_tuple=True)
        return (
            self.top + int(rows.min()),
            self.left + int(columns.min()),
            self.top + int(rows.max()),
            self.left + int(columns.max()),
        )

    def carriers(self, images: Tensor) -> Tensor:
        """Which images show the pattern at its place: bool (N,)."""
        return self.hits(images) >= self.needed

    def hits(self, images: Tensor) -> Tensor:
        """How many pixels of the pattern each image shows: the same code, and differences within .02; (N,)."""
        codes, right, down = cut(images, self.top, self.left, *self.codes.shape[1:])
        near = ((right - self.usual[0]).abs() <= EXACT) & ((down - self.usual[1]).abs() <= EXACT)
        same = (codes == self.codes) & (near | (self.codes >= PLATEAU))
        return (same & self.wanted).flatten(1).sum(dim=1)


def cut(images: Tensor, top: int, left: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Edge codes and differences in a window, as those of the whole images are there: three (N, C, h, w)."""
    above, before = min(top, 2), min(left, 2)  # what a plateau looks at on each side
    part = images[:, :, top - above : top + height + 2, left - before : left + width + 2]
    inner = (..., slice(above, above + height), slice(before, before + width))
    right, down = differences(part)
    return edge_codes(part)[inner], right[inner], down[inner]
