"""Small square images, and what their labels allow."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.numbers import as_array

SMALL = 32
_AT_ONCE = 256


def shrink(images: Any, size: int | None = None) -> np.ndarray:
    """Images as float32 squares of `size` pixels, averaged over the area that each pixel covers.

    Args:
        images: float in [0, 1] or uint8, (N, C, H, W), array or tensor.
        size: side of the result; None: squares of at most 32 pixels stay as they are, others become 32 pixels wide, or
            as wide as their shorter side.

    Raises:
        DataError: no images (N, C, H, W), NaN among the pixels, or a size below 1.

    Example:
        >>> shrink(np.zeros((2, 3, 48, 64), dtype=np.uint8)).shape
        (2, 3, 32, 32)
    """
    import torch
    from torch.nn import functional

    pixels = images if isinstance(images, torch.Tensor) else torch.as_tensor(_floats(as_array("images", images)))
    if pixels.ndim != 4 or not pixels.numel():
        raise DataError(f"expected images (N, C, H, W), got shape {tuple(pixels.shape)}")
    scale = 255 if pixels.dtype == torch.uint8 else 1
    side = min(SMALL, *pixels.shape[2:]) if size is None else size
    if side < 1:
        raise DataError(f"the images' size must be at least 1 pixel, got {size!r}")
    parts = []
    for batch in pixels.split(_AT_ONCE):  # type: ignore[no-untyped-call]
        part = batch.float() / scale
        if not torch.isfinite(part).all():
            raise DataError("an image has NaN or infinite pixels; look for it and remove it")
        if part.shape[2:] != (side, side):
            part = functional.interpolate(part, (side, side), mode="bilinear", antialias=True, align_corners=False)
        parts.append(part)
    result: np.ndarray = torch.cat(parts).cpu().numpy()
    return result


def _floats(images: np.ndarray) -> np.ndarray:
    """Bytes as they are, everything else as float32, which torch reads (it lacks longdouble)."""
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def label_ceiling(images: np.ndarray, labels: np.ndarray) -> float:
    """The highest accuracy that any classifier can have: identical images get one answer, whatever their labels.

    The sum over groups of identical images of the count of the group's most frequent label, over the number of images.

    Example:
        >>> label_ceiling(np.zeros((4, 1, 2, 2)), np.array([0, 0, 0, 1]))
        0.75
    """
    counts: dict[bytes, dict[int, int]] = {}
    for image, label in zip(images, labels.tolist()):
        group = counts.setdefault(np.ascontiguousarray(image).tobytes(), {})
        group[label] = group.get(label, 0) + 1
    return sum(max(group.values()) for group in counts.values()) / len(labels)
