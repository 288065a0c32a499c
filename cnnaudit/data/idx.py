"""Arrays of bytes in the idx format of MNIST."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError

_LARGEST = 2**30  # bytes of one array: above that, a header is taken to be broken


def read_idx(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """The array of an idx file of unsigned bytes, plain or compressed by gzip (a name ending in `.gz`).

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension as a big-endian
    32-bit integer, then the values, the last dimension fastest.

    Args:
        shape: the dimensions that are expected; None: of any length.

    Returns:
        uint8, of that shape.

    Raises:
        DataError: the file cannot be opened, is no idx file of bytes, has another shape, or is shorter or longer than
            its header says.

    Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0":
                raise DataError(
                    f"{path}: expected an idx file (it starts with 00 00 08), it starts with {head.hex(' ')}"
                )
            if head[2] != 8:
                raise DataError(f"{path}: expected unsigned bytes (idx type 08), got type {head[2]:02x}")
            dimensions = file.read(4 * head[3])
            if len(dimensions) < 4 * head[3]:
                raise DataError(f"{path}: the file ends within its header. Download it again")
            found = struct.unpack(f">{head[3]}I", dimensions)
            fits = len(found) == len(shape) and all(b is None or a == b for a, b in zip(found, shape))
            size = int(np.prod(found, dtype=object))
            if not fits or size > _LARGEST:
                wanted = " x ".join("N" if side is None else str(side) for side in shape)
                raise DataError(f"{path}: expected {wanted} bytes, its header says {' x '.join(map(str, found))}")
            values = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the file cannot be read ({error}). Check it or download it again") from None
    if len(values) != size:
        more = "more" if len(values) > size else f"only {len(values)}"
        raise DataError(f"{path}: its header says {size} bytes of values, there are {more}. Download it again")
    return np.frombuffer(values, np.uint8).reshape(found)
