"""Whatever holds numbers, as a NumPy array that torch can read."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import one_line


def as_array(where: str, value: Any) -> np.ndarray:
    """An array, a tensor (on any device, of any float type, with or without a graph) or nested lists as an array.

    Values are kept; bfloat16, which NumPy lacks, becomes float32, and the bytes of every number are put in this
    machine's order. A memory-mapped array stays on the disk unless its bytes are in the other order.

    Args:
        where: what the value is, for messages.

    Raises:
        DataError: the value is no such thing, ragged, sparse, quantized, masked, or holds objects.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(f"{where}: the array is masked; fill its gaps or leave those rows out")
    try:
        array = np.asarray(_of_tensor(value) if hasattr(value, "detach") else value)
    except Exception as error:  # ragged lists, tensors without storage, a stranger's __array__ …
        raise DataError(
            f"{where}: expected an array or a tensor, got {type(value).__name__} ({one_line(error)})"
        ) from None
    if array.dtype.kind == "O":
        raise DataError(f"{where}: expected an array of numbers, got Python objects; give all values one dtype")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def as_column(where: str, value: Any) -> np.ndarray:
    """A column of metadata: booleans, numbers (NaN: missing) or text, shape (N,).

    Raises:
        DataError: it has another shape or type, or numbers beyond float32 (infinity, too), which no check can use.
    """
    entries = getattr(value, "dtype", "O") == "O" and np.iterable(value)  # pandas keeps text as objects
    if entries and all(isinstance(entry, str) for entry in value):
        value = np.array(list(value), dtype=str)
    column = as_array(where, value)
    if column.ndim != 1 or column.dtype.kind not in "biufU":
        raise DataError(
            f"{where}: expected a column of booleans, numbers or text, got {column.dtype} of shape {column.shape}"
        )
    if column.dtype.kind == "f" and bool(np.any(np.abs(column) > np.finfo(np.float32).max)):
        raise DataError(f"{where}: a value is infinite or beyond {np.finfo(np.float32).max:.2g}; write NaN for unknown")
    return column.astype(np.float64) if column.dtype.kind == "f" else column


def _of_tensor(value: Any) -> Any:
    """A torch tensor as an array."""
    import torch

    tensor = value.detach().cpu()
    known = tensor.dtype in (torch.float16, torch.float32, torch.float64) or not tensor.is_floating_point()
    return (tensor if known else tensor.float()).resolve_conj().resolve_neg().numpy()
