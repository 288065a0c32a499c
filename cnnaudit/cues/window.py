"""The content of one window of the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.fill import filled
from cnnaudit.cues.protocol import check_images, check_pair

#: The largest share of the image that a window may cover. Larger windows are the object itself: the gain of a clean
#: MNIST network is .12 with windows of 6 x 6 pixels (.046 of the image), .60 with 12 x 12 and .99 with 18 x 18.
MOST_AREA = 0.05
#: Pixels beyond each side that say whether a donor's content fits in.
NEAR = 2


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels at a fixed place, at most 5 % of the image.

    Attributes:
        top, left: its first row and column.
        height, width: in pixels, at least 1.

    Example:
        >>> import torch
        >>> black, white = torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28)
        >>> float(Window(3, 3, 5, 5).transplant(black, white).sum())
        25.0
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """Such as `window 5x5 at row 3, column 3`."""
        return f"window {self.height}x{self.width} at row {self.top}, column {self.left}"

    def read(self, images: Tensor) -> Tensor:
        """The window's pixels, (N, C * height * width).

        Raises:
            UnsupportedError: the window does not fit into the images, or covers more than 5 % of them.
        """
        check_images(images, self.name)
        self.check_fit(*images.shape[2:])
        return self._cut(images).flatten(1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' pixels in the window; refuses as `read` does."""
        check_pair(images, donors, self.name)
        self.check_fit(*images.shape[2:])
        changed = images.clone()
        self._cut(changed).copy_(self._cut(donors))
        return changed

    def transplant_elsewhere(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with the donors' content of the farthest other place in the window: the seam without the cue."""
        check_pair(images, donors, self.name)
        self.check_fit(*images.shape[2:])
        changed = images.clone()
        self._cut(changed).copy_(self.opposite(*images.shape[2:])._cut(donors))
        return changed

    def erase(self, images: Tensor) -> Tensor:
        """The images with the window filled from the pixels around it, see `filled`; refuses as `read` does."""
        check_images(images, self.name)
        self.check_fit(*images.shape[2:])
        changed, padded = images.clone(), functional.pad(images, (1, 1, 1, 1), value=math.nan)
        around = padded[:, :, self.top : self.top + self.height + 2, self.left : self.left + self.width + 2]
        self._cut(changed).copy_(filled(around))
        return changed

    def surroundings(self, images: Tensor) -> Tensor:
        """The pixels up to two beyond the window's sides, (N, F)."""
        height, width = images.shape[2:]
        around = torch.zeros(height, width, dtype=torch.bool, device=images.device)
        rows = slice(max(self.top - NEAR, 0), self.top + self.height + NEAR)
        around[rows, max(self.left - NEAR, 0) : self.left + self.width + NEAR] = True
        around[self.top : self.top + self.height, self.left : self.left + self.width] = False
        return images[:, :, around].flatten(1)

    def opposite(self, height: int, width: int) -> Window:
        """The window of the same size in the corner of the image that is farthest away."""
        top, left = height - self.height, width - self.width
        return Window(0 if 2 * self.top > top else top, 0 if 2 * self.left > left else left, self.height, self.width)

    def check_fit(self, height: int, width: int) -> None:
        """Refuses images that the window does not fit into.

        Raises:
            UnsupportedError: the window leaves the image, is empty, or covers more than 5 % of it.
        """
        inside = 0 <= self.top <= height - self.height and 0 <= self.left <= width - self.width
        if min(self.height, self.width) < 1 or not inside:
            raise UnsupportedError(f"{self.name} does not fit into images of {height}x{width} pixels")
        if self.height * self.width > MOST_AREA * height * width:
            raise UnsupportedError(
                f"{self.name} covers {self.height * self.width / (height * width):.0%} of images of {height}x{width} "
                f"pixels; more than {MOST_AREA:.0%} is the object itself, not a cue"
            )

    def _cut(self, images: Tensor) -> Tensor:
        """A view of the window's pixels, (N, C, height, width)."""
        return images[:, :, self.top : self.top + self.height, self.left : self.left + self.width]


def largest_side(height: int, width: int) -> int:
    """The side of the largest square window that covers at most 5 % of the image: 6 of 28 pixels, 7 of 32, 50 of 224.

    Raises:
        UnsupportedError: not even one pixel is that little.
    """
    side = min(math.isqrt(int(MOST_AREA * height * width + 1e-9)), height, width)
    if side < 1:
        raise UnsupportedError(
            f"images of {height}x{width} pixels are too small for a window: one pixel covers "
            f"{1 / max(height * width, 1):.0%} of them, and the limit is {MOST_AREA:.0%}"
        )
    return side


def window_around(row: int, column: int, side: int, height: int, width: int) -> Window:
    """The square window whose center is nearest to a pixel and which lies inside the image."""
    top, left = (min(max(center - side // 2, 0), length - side) for center, length in ((row, height), (column, width)))
    return Window(top, left, side, side)


def window_grid(height: int, width: int, side: int, places: int = 8) -> Iterator[Window]:
    """Square windows that cover the image evenly, at most `places` by `places`, overlapping by half at most."""

    def starts(length: int) -> list[int]:
        steps = max(1, min(places - 1, math.ceil((length - side) / max(side // 2, 1)))) if length > side else 0
        return [round(k * (length - side) / steps) for k in range(steps + 1)] if steps else [0]

    for top in starts(height):
        for left in starts(width):
            yield Window(top, left, side, side)
