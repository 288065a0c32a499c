"""Handwritten digits that come with scikit-learn: 1,797 real images without a download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnnaudit.core.errors import DataError

CLASSES = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits, white ink on black.

    Attributes:
        images: float32 (N, 1, 28, 28) in [0, 1].
        labels: int64 (N,), the digit.
        classes: the class names, "0" to "9".
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = CLASSES


def digits(split: Literal["all", "train", "validation"] = "all", seed: int = 0) -> Digits:
    """The digits as 28x28 images, whole or split by class into two thirds for training and one third for validation.

    The originals have 8x8 pixels of 0..16. They are divided by 16, enlarged to 24x24 by bilinear interpolation (pixel
    centers aligned) and given a black margin of two pixels, so that the strokes stand off the border as in MNIST.

    Args:
        split: `all` (1,797 images), `train` (1,198) or `validation` (599); the two share no image.
        seed: which images fall into which split.

    Raises:
        DataError: there is no such split.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
    (its test set, as distributed by scikit-learn).

    Example:
        >>> digits("validation").images.shape
        (599, 1, 28, 28)
    """
    if split not in ("all", "train", "validation"):
        raise DataError(f"digits: split must be all, train or validation, got {split!r}")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    originals, labels = load_digits(return_X_y=True)
    chosen = np.arange(len(labels))
    if split != "all":
        train, validation = train_test_split(chosen, test_size=1 / 3, stratify=labels, random_state=seed)
        chosen = np.sort(train if split == "train" else validation)
    enlarge = _bilinear(8, 24)
    enlarged = enlarge @ (originals[chosen].reshape(-1, 8, 8) / 16) @ enlarge.T
    images = np.pad(enlarged, ((0, 0), (2, 2), (2, 2)))[:, None].astype(np.float32)
    return Digits(images, labels[chosen].astype(np.int64))


def _bilinear(before: int, after: int) -> np.ndarray:
    """Weights (after, before) of linear interpolation between pixel centers, the edge repeated beyond the last."""
    position = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    distance = np.abs(position[:, None] - np.arange(before))
    weights: np.ndarray = np.clip(1 - distance, 0, None)
    return weights
