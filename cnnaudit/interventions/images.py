"""Images that a method is given: refused where they are none, and so many at a time as a CPU takes well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.core.errors import DataError
from cnnaudit.core.memory import CPU_BATCH_PIXELS

if TYPE_CHECKING:
    import torch


def cpu_size(images: torch.Tensor, batch_size: int) -> int:
    """The batch size, on a CPU at most as many images as stay in the caches."""
    if images.device.type != "cpu":
        return batch_size
    return max(1, min(batch_size, CPU_BATCH_PIXELS // max(1, images.shape[-2] * images.shape[-1])))


def require_images(images: torch.Tensor) -> None:
    """Raise DataError unless the images are finite floating-point numbers (N, C, H, W), at least one."""
    import torch

    got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, torch.Tensor) else type(images).__name__
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or not images.is_floating_point() or not images.numel():
        raise DataError(f"images: expected a floating-point tensor (N, C, H, W) with at least one image, got {got}")
    if torch.isfinite(images.sum()):  # one quick pass: whatever is not finite shows in the sum
        return
    bad = ~torch.isfinite(images).flatten(1).all(1)
    if bad.any():
        raise DataError(
            f"images: NaN or infinity in {int(bad.sum())} of {len(images)}, first in number {int(bad.nonzero()[0])}"
        )
