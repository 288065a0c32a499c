"""The data of a search: small square images with their labels, as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.shrink import label_ceiling, shrink
from cnnaudit.training._grid import Architecture

Arrays = tuple[np.ndarray, np.ndarray]


def as_arrays(data: tuple[Any, Any], size: int | None, name: str) -> Arrays:
    """Images float32 (N, C, S, S) and labels int64 (N,)."""
    try:
        images = shrink(data[0], size)
    except DataError as error:
        raise DataError(f"{name} images: {error}") from None
    labels = np.asarray(data[1])
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(f"{name}: expected {len(images)} labels 0, 1, ..., got shape {labels.shape} of {labels.dtype}")
    return images, labels.astype(np.int64)


def check(data: Arrays, validation: Arrays, grid: Sequence[Architecture], target: float) -> float:
    """The highest accuracy that the labels allow; data, grids and targets that do not fit each other are refused."""
    if not 0 < target <= 1:
        raise DataError(f"target_accuracy must be above 0 and at most 1, got {target!r}")
    if not len(grid):
        raise DataError("the grid is empty: make one with cnnaudit.training.grid")
    if len(np.unique(data[1])) < 2:
        raise DataError(f"the training images are of one class only ({len(data[1])} images): there is nothing to learn")
    classes = int(max(data[1].max(), validation[1].max())) + 1
    for name, images in (("training", data[0]), ("validation", validation[0])):
        wrong = next((n for n in grid if (n.channels, n.size) != (images.shape[1], images.shape[2])), None)
        if wrong is not None:
            raise DataError(
                f"{name} images are {images.shape[1:]} (channels, height, width), but the grid is for {wrong.channels} "
                f"channel(s) and {wrong.size} pixels: give it channels={images.shape[1]}, size={images.shape[2]}"
            )
    if any(network.classes < classes for network in grid):
        raise DataError(f"the labels name {classes} classes, but the grid is for fewer: give it classes={classes}")
    ceiling = min(label_ceiling(*data), label_ceiling(*validation))
    if target > ceiling:
        raise DataError(
            f"target_accuracy {target:g} is above what the labels allow: identical images stand under different "
            f"labels, so that no classifier can be right on more than {ceiling:.4f} of them. Repair the labels, or ask "
            "for less"
        )
    return ceiling


def majority(labels: np.ndarray) -> float:
    """The share of the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def fingerprint(data: Arrays, validation: Arrays, stop: float, batch_size: int) -> str:
    """A short hash of what networks are trained on and how."""
    digest = hashlib.sha256(f"{stop:.9f} {batch_size}".encode())
    for part in (*data, *validation):
        digest.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:12]
