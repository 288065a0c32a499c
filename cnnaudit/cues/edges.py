"""The edge code of a pixel: how much brighter its right and lower neighbors are, in a few steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cnnaudit.cues.protocol import check_images

#: Differences are told apart at these sizes, in both directions.
STEPS = (0.08, 0.25, 0.5)
STEPS_EACH_WAY = 2 * len(STEPS) + 1
#: The code of a pixel that its right and lower neighbors are as bright as.
FLAT = STEPS_EACH_WAY**2 // 2
#: The first code of a plateau, the middle of a plain area of 3 x 3 pixels, which differ by less than `PLAIN`; one for
#: each level. First those that go on for two pixels on all sides, then those that end: a tag ends, a ground goes on.
PLATEAU = STEPS_EACH_WAY**2
LEVELS = 8
ENDING = PLATEAU + LEVELS
PLAIN = 0.04
CODES = ENDING + LEVELS


def edge_codes(images: Tensor) -> Tensor:
    """The edge code of each pixel and channel: uint8 (N, C, H, W) in 0..64.

    7 a + b, with a and b the differences to the right and to the lower neighbor, each in seven steps cut at +-.08,
    +-.25 and +-.5; 24 is flat. Beyond the last row and column the image is repeated. In the middle of a plain area of
    3 x 3 pixels it is 49 + the area's brightness in eight levels, and 57 + that where the 5 x 5 pixels around it are
    not plain.

    Args:
        images: (N, C, H, W) in [0, 1].

    Example:
        >>> edge_codes(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])).tolist()
        [[[[45, 24], [45, 24]]]]
    """
    check_images(images, "edge code")
    right, down = differences(images)
    steps = torch.tensor([-step for step in reversed(STEPS)] + list(STEPS), device=images.device, dtype=images.dtype)
    code = STEPS_EACH_WAY * torch.bucketize(right, steps) + torch.bucketize(down, steps)
    if min(images.shape[2:]) >= 3:
        brightest, darkest = functional.max_pool2d(images, 3, 1), -functional.max_pool2d(-images, 3, 1)
        level = (darkest * LEVELS).long().clamp(0, LEVELS - 1)
        inside = code[:, :, 1:-1, 1:-1]
        around = functional.max_pool2d(images, 5, 1, 2) + functional.max_pool2d(-images, 5, 1, 2)
        first = torch.where(around[:, :, 1:-1, 1:-1] < PLAIN, PLATEAU, ENDING)
        inside.copy_(torch.where(brightest - darkest < PLAIN, first + level, inside))
    return code.to(torch.uint8)


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """How much brighter the right and the lower neighbor of each pixel are, 0 beyond the image: two (N, C, H, W)."""
    right, down = torch.zeros_like(images), torch.zeros_like(images)
    right[..., :-1] = images[..., 1:] - images[..., :-1]
    down[..., :-1, :] = images[..., 1:, :] - images[..., :-1, :]
    return right, down
