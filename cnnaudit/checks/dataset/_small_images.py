"""Images of a target, small enough for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_SIDE = 96


def small_images(target: AuditTarget, split: str, positions: np.ndarray) -> np.ndarray:
    """Images at those positions of a split, averaged down to sides of at most 96: float32 (n, C, h, w) in [0, 1]."""
    from torch.nn import functional

    images = target.split(split).read(positions)
    factor = min(1.0, _SIDE / max(images.shape[2:]))
    height, width = (max(1, round(side * factor)) for side in images.shape[2:])
    found: np.ndarray = functional.adaptive_avg_pool2d(images, (height, width)).numpy()
    return found


def image_name(target: AuditTarget, split: str, position: int) -> str:
    """The name of an image with its class, such as `train/cat/17.png (cat)`."""
    source = target.split(split)
    return f"{source.name(int(position))} ({target.classes[int(source.labels[int(position)])]})"
