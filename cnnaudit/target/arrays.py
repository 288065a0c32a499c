"""Labelled images held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.audit_target import PRODUCTION
from cnnaudit.target.numbers import as_array, as_column
from cnnaudit.target.rows import ONE_LABEL
from cnnaudit.target.stored import MOST_CHANNELS
from cnnaudit.target.tensors import undone

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import InputSpec


UNLABELED = -1


class ArraySplit:
    """A split made of arrays or tensors: images (N, C, H, W), (N, H, W) or (N, H, W, C), float in [0, 1] or uint8.

    Floats may be of any type and byte order; they are read as float32.

    Args:
        split: its name, for messages.
        labels: (N,); None in a production split whose images have no labels, which are then all -1.
        classes: how many classes the labels may name.
        metadata: columns that describe the images, each of shape (N,): booleans, numbers (NaN: missing) or text.
        spec: what the model takes; None: the images say. With it, its number of channels tells (N, C, H, W) from
            (N, H, W, C), and whether the images are normalized already.

    Raises:
        DataError: there are no images, shapes or types do not fit, a label is out of range, a pixel is NaN or outside
            [0, 1].
    """

    def __init__(
        self,
        split: str,
        images: Any,
        labels: Any,
        classes: int,
        metadata: Mapping[str, np.ndarray] | None = None,
        spec: InputSpec | None = None,
    ) -> None:
        self._split = split
        self._images = _as_nchw(split, as_array(f"{split}: images", images), spec)
        if unlabeled := labels is None:
            if split != PRODUCTION:
                raise DataError(f"data.{split}: the images have no labels; only data.production may come without")
            labels = np.zeros(len(self._images), np.int64)
        self._labels = as_array(f"{split}: labels", labels)
        if self._labels.ndim == 2 and self._labels.shape[0] == len(self._images) and self._labels.shape[1] > 1:
            raise DataError(f"{split}: expected one label for each image, got {self._labels.shape[1]}. {ONE_LABEL}")
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
        self._labels = np.full(n, UNLABELED, np.int64) if unlabeled else self._labels.astype(np.int64)
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


def _as_nchw(split: str, images: np.ndarray, spec: InputSpec | None) -> np.ndarray:
    """The images as (N, C, H, W), refused where they are neither uint8 nor floats in [0, 1]."""
    if images.ndim == 3:
        images = images[:, None]
    wanted = (1, 3) if spec is None else (spec.channels,)
    if images.ndim == 4 and images.shape[1] not in wanted and images.shape[3] in wanted:
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or not 1 <= images.shape[1] <= MOST_CHANNELS:
        raise DataError(
            f"{split}: expected images (N, C, H, W) with 1 to {MOST_CHANNELS} channels, got shape {images.shape}"
        )
    if not images.size:
        raise DataError(f"{split}: expected images with pixels, got shape {images.shape}")
    if spec is not None and spec.already is not None:
        return undone(split, images, spec)
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(
            f"{split}: expected uint8 or float images, got {images.dtype}. Turn bytes 0..255 into uint8; divide other "
            "whole numbers by the largest value that they can have"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise DataError(
            f"{split}: expected pixels in [0, 1], got {low:g}..{high:g}; divide bytes by 255, or, "
            "where they are normalized, say so: input.already = 'normalized'"
        )
    return images
