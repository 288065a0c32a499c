"""`.npy` and `.npz` files, read without pickle and never longer than they are."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import one_line

LARGEST = 2**34  # bytes of an unpacked array
EXPANSION = 1_000  # how many times its own length an archive may unpack to
MOST_ARRAYS = 1_000


def read_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file, left on the disk until its values are asked for.

    Raises:
        DataError: the file cannot be read, holds Python objects, or is shorter or longer than its header says.
    """
    try:
        with path.open("rb") as stream:
            _check(stream, path.stat().st_size)
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None
    except Exception as error:
        raise DataError(
            f"{path.name}: the array cannot be read ({one_line(error)}). Save it again with np.save"
        ) from None
    return array


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file by their names.

    Raises:
        DataError: the file cannot be read, holds Python objects, unpacks to far more than its length, or one of its
            arrays is shorter or longer than its header says.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_ARRAYS or unpacked > min(LARGEST, EXPANSION * path.stat().st_size):
                raise DataError(
                    f"it unpacks to {len(entries):,} arrays of {unpacked:,} bytes, which is more than we read"
                )
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in arrays or name == entry.filename:
                    raise DataError(f"expected arrays as np.savez writes them, each once, got {entry.filename[:100]!r}")
                data = archive.read(entry)
                _check(io.BytesIO(data), len(data))
                arrays[name] = npy.read_array(io.BytesIO(data), allow_pickle=False)
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None
    except Exception as error:  # zipfile, zlib and NumPy each have their own
        raise DataError(
            f"{path.name}: the arrays cannot be read ({one_line(error)}). Save them with np.savez"
        ) from None
    return arrays


def _check(stream: IO[bytes], length: int) -> None:
    """Hold the length of an array against what its header says, before room for it is made."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"expected version 1 or 2 of NumPy's format, got {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise DataError("the array holds Python objects, and reading those could run code. Save it with a number type")
    wanted, there = math.prod(shape) * dtype.itemsize, length - stream.tell()
    if wanted != there or wanted > LARGEST or any(side < 0 for side in shape):
        raise DataError(f"its header says {wanted:,} bytes of {dtype} {shape[:6]}, there are {there:,}")
