"""Real images to measure null distributions on: MNIST and CIFAR-10, where the environment names a folder of them."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError

FOLDER = "CNNAUDIT_DATA"
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"mnist": "mnist.npz", "cifar10": "cifar10.npz"}


def available() -> bool:
    """Whether the folder that `CNNAUDIT_DATA` names holds the files."""
    folder = os.environ.get(FOLDER)
    return bool(folder) and all((Path(folder or "") / file).is_file() for file in _FILES.values())


def names() -> tuple[str, ...]:
    """The data sets at hand: `mnist` and `cifar10`, or none."""
    return tuple(_FILES) if available() else ()


@functools.lru_cache(maxsize=2)
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """All images at hand, uint8 (N, C, H, W), and labels, int64 (N,): training images first, then test images.

    Raises:
        DataError: there is no such file.
    """
    path = Path(os.environ.get(FOLDER, "")) / _FILES[name]
    if not path.is_file():
        raise DataError(f"{path.name} not found: set {FOLDER} to the folder that holds it")
    with np.load(path) as file:
        images = [file[key] for key in sorted(file, reverse=True) if key.startswith("x_")]
        labels = [file[key].ravel() for key in sorted(file, reverse=True) if key.startswith("y_")]
    pixels = np.concatenate(images)
    pixels = pixels[:, None] if pixels.ndim == 3 else np.moveaxis(pixels, 3, 1)
    return np.ascontiguousarray(pixels), np.concatenate(labels).astype(np.int64)


def sample(name: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """That many random images, float32 (n, C, H, W) in [0, 1], with their labels."""
    images, labels = load(name)
    rows = rng.choice(len(labels), n, replace=False)
    return images[rows].astype(np.float32) / 255, labels[rows]
