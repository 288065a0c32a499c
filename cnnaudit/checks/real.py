"""MNIST, Fashion-MNIST and CIFAR-10 to measure on, where `CNNAUDIT_DATA` names the folder of their files."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError

if TYPE_CHECKING:
    from cnnaudit.data.known_files import KnownImages

FOLDER = "CNNAUDIT_DATA"
FILES: Mapping[str, str] = MappingProxyType(
    {"mnist": "mnist.npz", "fashion_mnist": "fashion_mnist.npz", "cifar10": "cifar10.npz"}
)


def names() -> tuple[str, ...]:
    """The data sets whose file is at hand."""
    folder = os.environ.get(FOLDER)
    return tuple(name for name, file in FILES.items() if folder and (Path(folder) / file).is_file())


def load(name: str, part: str) -> KnownImages:
    """All images of `train` or `test`, with labels and names of the classes; read once.

    Raises:
        DataError: there is no such file.
    """
    return _loaded(name, part, os.environ.get(FOLDER, ""))


@functools.lru_cache(maxsize=6)
def _loaded(name: str, part: str, folder: str) -> KnownImages:
    from cnnaudit.data import known_files

    path = Path(folder) / FILES[name]
    if not folder or not path.is_file():
        raise DataError(f"{path.name} not found: set {FOLDER} to the folder that holds {path.name}")
    found: KnownImages = getattr(known_files, name)(path, part)
    return found


def sample(name: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """That many random images of both parts, float32 (n, C, H, W) in [0, 1], their labels, the names of the classes."""
    parts = load(name, "train"), load(name, "test")
    first = len(parts[0].labels)
    rows = rng.choice(first + len(parts[1].labels), n, replace=False)
    images = np.stack([parts[0].images[row] if row < first else parts[1].images[row - first] for row in rows])
    labels = np.concatenate([part.labels for part in parts])[rows]
    return images.astype(np.float32) / 255, labels, parts[0].classes
