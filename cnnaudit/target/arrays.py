"""Labelled images held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.numbers import as_array, as_column

if TYPE_CHECKING:
    import torch


class ArraySplit:
    """A split made of arrays or tensors: images (N, C, H, W), (N, H, W) or (N, H, W, C), float in [0, 1] or uint8.

    Floats may be of any type and byte order; they are read as float32.

    Args:
        split: its name, for messages.
        classes: how many classes the labels may name.
        metadata: columns that describe the images, each of shape (N,): booleans, numbers (NaN: missing) or text.

    Raises:
        DataError: there are no images, shapes or types do not fit, a label is out of range, a pixel is NaN or outside
            [0, 1].
    """

    def __init__(
        self, split: str, images: Any, labels: Any, classes: int, metadata: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self._split = split
        self._images = _as_nchw(split, as_array(f"{split}: images", images))
        self._labels = as_array(f"{split}: labels", labels)
        columns = (metadata or {}).items()
        self._metadata = {key: as_column(f"{split}: metadata column {key!r}", column) for key, column in columns}
        n = len(self._images)
        if self._labels.shape != (n,) or self._labels.dtype.kind not in "iu":
            raise DataError(
                f"{split}: expected {n} integer labels, one per image, got shape {self._labels.shape} "
                f"of {self._labels.dtype}"
            )
        if not 0 <= self._labels.min() <= self._labels.max() < classes:
            low, high = self._labels.min(), self._labels.max()
            raise DataError(f"{split}: labels must be in 0..{classes - 1} for {classes} classes, got {low}..{high}")
        self._labels = self._labels.astype(np.int64)
        for key, column in self._metadata.items():
            if len(column) != n:
                raise DataError(f"{split}: metadata column {key!r} has {len(column)} values for {n} images")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, c, h, w = self._images.shape
        return c, h, w

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """Columns that describe the images."""
        return self._metadata

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1]."""
        import torch

        images = np.ascontiguousarray(self._images[np.asarray(indices)])
        pixels = torch.from_numpy(images if images.dtype == np.uint8 else images.astype(np.float32, copy=False))
        return pixels.float() / 255 if images.dtype == np.uint8 else pixels

    def name(self, index: int) -> str:
        """A name for messages, such as `train[17]`."""
        return f"{self._split}[{index}]"

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """Nothing: arrays come from no files."""
        return {}


def _as_nchw(split: str, images: np.ndarray) -> np.ndarray:
    """The images as (N, C, H, W), refused where they are neither uint8 nor floats in [0, 1]."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{split}: expected images (N, C, H, W) with 1 or 3 channels, got shape {images.shape}")
    if not images.size:
        raise DataError(f"{split}: expected images with pixels, got shape {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(
            f"{split}: expected uint8 or float images, got {images.dtype}. Turn bytes 0..255 into uint8; divide other "
            "whole numbers by the largest value that they can have"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise DataError(f"{split}: expected pixels in [0, 1], got {low:g}..{high:g}; divide bytes by 255")
    return images
