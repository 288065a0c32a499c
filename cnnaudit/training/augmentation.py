"""Random shifts, reflections and rotations of training images, by torchvision's transforms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnaudit.training.plan import Plan

if TYPE_CHECKING:
    import torch


def augmentation(plan: Plan, size: tuple[int, int]) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The function that changes each image of a batch on its own; None where the plan asks for nothing.

    The border is continued outward first, so that what a shift or a rotation brings in is neither black nor white. The
    draws come from torch's global random state.

    Args:
        size: height and width of the images.

    Returns:
        From float (N, C, H, W) to the same shape.

    Example:
        >>> import torch
        >>> change = augmentation(Plan(flip=True, shift=0.1), (8, 8))
        >>> change(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 1, 8, 8])
    """
    if not (plan.shift or plan.rotation or plan.flip):
        return None
    import torch
    from torchvision.transforms import InterpolationMode, v2

    steps: list[torch.nn.Module] = [v2.RandomHorizontalFlip()] if plan.flip else []
    if plan.shift or plan.rotation:
        half_turned = 0.21 * max(size) if plan.rotation else 0  # (sqrt(2) - 1) / 2: the corners of a turned square
        margin = math.ceil(plan.shift * max(size) + half_turned)
        share = plan.shift * max(size) / (max(size) + 2 * margin)
        steps += [
            v2.Pad(margin, padding_mode="edge"),
            v2.RandomAffine(plan.rotation, translate=(share, share), interpolation=InterpolationMode.BILINEAR),
            v2.CenterCrop(size),
        ]
    transform = v2.Compose(steps)
    return lambda images: torch.stack([transform(image) for image in images])
