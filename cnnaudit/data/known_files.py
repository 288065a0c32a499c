"""MNIST, Fashion-MNIST and CIFAR-10 from the files in which they are published; nothing is downloaded."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.data.cifar import read_batch
from cnnaudit.data.idx import read_idx

Part = Literal["train", "test"]

DIGITS = tuple("0123456789")
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_LARGEST = 2**31  # bytes of an unpacked array in an .npz file


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Images of a published data set.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), positions in `classes`.
        classes: the names of the ten classes.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def mnist(root: str | Path, split: Part = "train", held_out: float | None = None) -> KnownImages:
    """MNIST, 28x28 gray: the idx files (also `.gz`, also in torchvision's `MNIST/raw`) or Keras's `mnist.npz`.

    Args:
        root: the folder of the files, or the `.npz` file; relative to the working directory, in an audit file to its
            folder.
        split: `train` (60,000 images) or `test` (10,000).
        held_out: split all images anew, this share of each class as `test` (drawn by seed 0) and the rest as `train`.

    Raises:
        DataError: the files are not there or are malformed; the message names the file.

    Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998.

    Example:
        >>> mnist("no/such/folder")
        Traceback (most recent call last):
        cnnaudit.core.errors.DataError: no MNIST in no/such/folder: expected train-images-idx3-ubyte or mnist.npz
    """
    return _parted(lambda part: _from_idx(Path(root), part, "MNIST", "mnist.npz", DIGITS), split, held_out)


def fashion_mnist(root: str | Path, split: Part = "train", held_out: float | None = None) -> KnownImages:
    """Fashion-MNIST, 28x28 gray: the files of `mnist`, torchvision's in `FashionMNIST/raw`, or `fashion_mnist.npz`.

    Arguments and errors as in `mnist`.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, 2017.
    """
    return _parted(
        lambda part: _from_idx(Path(root), part, "FashionMNIST", "fashion_mnist.npz", FASHION), split, held_out
    )


def cifar10(root: str | Path, split: Part = "train", held_out: float | None = None) -> KnownImages:
    """CIFAR-10, 32x32 RGB: the batches for Python (`cifar-10-batches-py`) or `cifar10.npz`.

    Args:
        root: the folder of the batches or the one above it, or the `.npz` file; relative as in `mnist`.
        split: `train` (50,000 images in five batches) or `test` (10,000).
        held_out: as in `mnist`.

    Raises:
        DataError: the files are not there or are malformed; the message names the file.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    return _parted(lambda part: _cifar10(Path(root), part), split, held_out)


def _cifar10(root: Path, part: str) -> KnownImages:
    """The images of one part, as published."""
    names = [f"data_batch_{number}" for number in range(1, 6)] if part == "train" else ["test_batch"]
    for folder in (root, root / "cifar-10-batches-py"):
        if (folder / names[0]).is_file():
            images, labels = zip(*(read_batch(folder / name) for name in names))
            return KnownImages(np.concatenate(images), np.concatenate(labels), CIFAR10)
    if path := _npz_in(root, "cifar10.npz"):
        return KnownImages(*_read_npz(path, part, (32, 32, 3)), CIFAR10)
    raise DataError(f"no CIFAR-10 in {root}: expected {names[0]} or cifar10.npz")


def _parted(read: Callable[[str], KnownImages], split: str, held_out: float | None) -> KnownImages:
    """One part of a data set: as published, or of all its images split anew."""
    _part(split)
    if held_out is None:
        return read(split)
    if not 0 < held_out < 1:
        raise DataError(f"held_out must be a share between 0 and 1, got {held_out!r}")
    from sklearn.model_selection import train_test_split

    both = [read("train"), read("test")]
    labels = np.concatenate([part.labels for part in both])
    parts = train_test_split(np.arange(len(labels)), test_size=held_out, stratify=labels, random_state=0)
    chosen = np.sort(parts[split == "test"])
    return KnownImages(np.concatenate([part.images for part in both])[chosen], labels[chosen], both[0].classes)


def _from_idx(root: Path, split: str, folder: str, npz: str, classes: tuple[str, ...]) -> KnownImages:
    """The images of a data set in MNIST's files."""
    start = "train" if _part(split) == "train" else "t10k"
    for base in (root, root / "raw", root / folder / "raw"):
        for ending in ("", ".gz"):
            path = base / f"{start}-images-idx3-ubyte{ending}"
            if path.is_file():
                beside = _beside(base / f"{start}-labels-idx1-ubyte")
                images, labels = read_idx(path, (None, 28, 28)), read_idx(beside, (None,))
                return KnownImages(*_checked(beside, images[:, None], labels), classes)
    if path_of_all := _npz_in(root, npz):
        return KnownImages(*_read_npz(path_of_all, split, (28, 28)), classes)
    raise DataError(f"no {folder} in {root}: expected {start}-images-idx3-ubyte or {npz}")


def _part(split: str) -> str:
    if split not in ("train", "test"):
        raise DataError(f"split must be train or test, got {split!r}")
    return split


def _beside(path: Path) -> Path:
    """The file, or its compressed twin where only that exists."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() and not path.is_file() else path


def _npz_in(root: Path, name: str) -> Path | None:
    """The `.npz` file that `root` is or holds."""
    return next((path for path in (root, root / name) if path.suffix == ".npz" and path.is_file()), None)


def _read_npz(path: Path, split: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, C, H, W) and labels of `x_train` and `y_train` (or `x_train1`, `x_train2` …, joined in order)."""
    try:
        with zipfile.ZipFile(path) as packed:
            if any(entry.file_size > _LARGEST for entry in packed.infolist()):
                raise DataError(f"{path}: expected arrays of at most {_LARGEST >> 30} GB")
        with np.load(path, allow_pickle=False) as file:
            keys = sorted((key for key in file if re.fullmatch(rf"x_{split}\d*", key)), key=lambda k: (len(k), k))
            pairs = [(key, file[key], file[f"y{key[1:]}"]) for key in keys]
            there = ", ".join(file)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise DataError(f"{path}: the file cannot be read ({error}). Check it or download it again") from None
    if not pairs:
        raise DataError(f"{path}: expected the arrays x_{split} and y_{split}, it holds {there or 'nothing'}")
    for key, images, _ in pairs:
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            wanted = ", ".join(map(str, shape))
            raise DataError(f"{path}: expected {key} as uint8 (N, {wanted}), got {images.dtype} {images.shape}")
    read = [_checked(path, _channels_first(images), labels) for _, images, labels in pairs]
    return np.concatenate([images for images, _ in read]), np.concatenate([labels for _, labels in read])


def _channels_first(images: np.ndarray) -> np.ndarray:
    return images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1)


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images as they are and labels as int64, refused where they do not fit each other or name no class."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or not len(labels):
        raise DataError(f"{path}: expected {len(images)} whole labels, got {labels.dtype} {labels.shape}")
    if not 0 <= labels.min() <= labels.max() <= 9:
        raise DataError(f"{path}: expected labels in 0..9, got {labels.min()}..{labels.max()}")
    return np.ascontiguousarray(images), labels.astype(np.int64)
