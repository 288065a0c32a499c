"""The pickled batches of CIFAR-10, read without running anything that a pickle could name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError

_LARGEST = 2**28  # bytes of a file; a batch of 10,000 images has 31 MB


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of a file such as `data_batch_1`.

    Arrays in the pickle are rebuilt from their bytes by this module: only bytes of a stated shape are accepted, and
    every other class or function that the file names is refused.

    Raises:
        DataError: the file cannot be opened, is no such pickle, or images and labels do not fit.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path}: expected at most {_LARGEST >> 20} MB, got {path.stat().st_size >> 20} MB")
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: the file cannot be opened ({error.strerror or error})") from None
    except Exception as error:  # a broken pickle raises whatever its bytes happen to mean
        raise DataError(f"{path}: this is no CIFAR-10 batch for Python ({error}). Download it again") from None
    values, labels = (_entry(content, key) for key in ("data", "labels"))
    if not isinstance(values, _Array) or values.kind != "u1" or len(values.shape) != 2 or values.shape[1] != 3072:
        found = f"{values.kind} {values.shape}" if isinstance(values, _Array) else type(values).__name__
        raise DataError(f"{path}: expected 'data' of unsigned bytes (N, 3072), got {found}")
    if len(values.content) != values.shape[0] * 3072 or values.shape[0] < 1:
        raise DataError(f"{path}: 'data' says {values.shape[0]} images but holds {len(values.content)} bytes")
    if not isinstance(labels, list) or len(labels) != values.shape[0]:
        raise DataError(f"{path}: expected a list of {values.shape[0]} 'labels', one per image")
    if not all(type(label) is int and 0 <= label < 10 for label in labels):
        raise DataError(f"{path}: expected 'labels' in 0..9")
    images = np.frombuffer(values.content, np.uint8).reshape(-1, 3, 32, 32)
    return images, np.array(labels, np.int64)


def _entry(content: Any, key: str) -> Any:
    """The entry of a dictionary whose keys are bytes (written by Python 2) or text; None where there is none."""
    return content.get(key.encode(), content.get(key)) if isinstance(content, dict) else None


class _Kind:
    """Stands for `numpy.dtype`."""

    def __init__(self, kind: Any = "", *_: Any) -> None:
        self.name = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment mean nothing for single bytes."""


class _Array:
    """Stands for `numpy.ndarray`: what its state says, unchecked."""

    kind, shape, content = "", (), b""

    def __init__(self, *_: Any) -> None:
        """The arguments of `numpy.core.multiarray._reconstruct` say nothing that the state does not."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_column, content = state
        if by_column or not isinstance(kind, _Kind) or not all(type(side) is int for side in shape):
            raise DataError("an array is not stored row by row")
        self.kind, self.shape = kind.name, tuple(shape)
        self.content = content.encode("latin1") if isinstance(content, str) else bytes(content)


def _encode(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which newer pickles of older protocols spell bytes."""
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows arrays of bytes, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of what the pickle names."""
        stands_for: dict[tuple[str, str], Any] = {
            ("numpy", "dtype"): _Kind,
            ("numpy", "ndarray"): _Array,
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,
            ("_codecs", "encode"): _encode,
        }
        if (module, name) not in stands_for:
            raise DataError(f"the pickle names {module}.{name}, which no CIFAR-10 batch does")
        return stands_for[module, name]
