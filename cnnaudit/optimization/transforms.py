"""Small random movements of the image between steps, all of them in one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

FULL = 128  # side of an image from which on shifts are as large as they are named


@dataclass(frozen=True)
class Jitter:
    """What an optimized image must survive: it is padded, moved, scaled, turned and moved again before each step.

    Attributes:
        pixels: shifts of up to so many pixels in each axis, before scaling and turning, where 128 pixels or more are
            seen; in proportion where fewer are, since 8 of 28 would smear what a unit looks for.
        scale: smallest and largest magnification.
        degrees: turns of up to so many degrees, either way.
        after: shifts of up to so many pixels afterwards, likewise.
        gray: what comes into view at the border.
        padding: gray pixels around the image that the model sees too, where it takes images of that size.

    Source: A. Mordvintsev, C. Olah, M. Tyka, Inceptionism, 2015; Olah et al., Distill 2017.
    """

    pixels: float = 8
    scale: tuple[float, float] = (0.9, 1.1)
    degrees: float = 10
    after: float = 4
    gray: float = 0.5
    padding: int = 0

    def __call__(self, images: torch.Tensor, generator: torch.Generator, field: int | None = None) -> torch.Tensor:
        """The images (n, C, H, W) as they are seen in this step, all of them moved alike.

        Args:
            field: side in pixels of the part of an image that is looked at, None: all of it.
        """
        height, width = images.shape[2:]
        share = min(1.0, min(height, width, field or FULL) / FULL)
        first = self._shift(share * self.pixels, generator)
        factor = _uniform(*self.scale, generator)
        angle = math.radians(_uniform(-self.degrees, self.degrees, generator))
        last = self._shift(share * self.after, generator)
        cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
        # from a place in the answer back to its place in the image, in pixels from the center (x, y)
        rows, columns = height + 2 * self.padding, width + 2 * self.padding  # of the answer
        x = cos * -last[0] + sin * -last[1] - first[0]
        y = -sin * -last[0] + cos * -last[1] - first[1]
        back = [
            [cos * columns / width, sin * rows / width, 2 * x / width],
            [-sin * columns / height, cos * rows / height, 2 * y / height],
        ]
        groups = _groups(images)
        grid = functional.affine_grid(images.new_tensor([back]), [1, 1, rows, columns], align_corners=False)
        planes = (images - self.gray).reshape(groups, -1, height, width)
        seen = functional.grid_sample(planes, grid.expand(groups, -1, -1, -1), align_corners=False)
        answer: torch.Tensor = seen.view(*images.shape[:2], rows, columns) + self.gray
        return answer.contiguous(memory_format=_layout(images))

    def _shift(self, most: float, generator: torch.Generator) -> tuple[float, float]:
        return _uniform(-most, most, generator), _uniform(-most, most, generator)


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _groups(images: torch.Tensor) -> int:
    """Into how many groups the images are put, whose planes are resampled as the channels of one image.

    All move alike, so that places are found once for a group; on a CPU there is a thread for each group, at most.
    """
    return math.gcd(len(images), torch.get_num_threads()) if images.device.type == "cpu" else len(images)


def _layout(images: torch.Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
