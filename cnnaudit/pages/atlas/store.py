"""What an atlas has found so far, on the disk: one file per finished batch, written whole."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cnnaudit.core.files import write_whole
from cnnaudit.pages.atlas._exemplars import FIELDS as EXEMPLAR_FIELDS
from cnnaudit.pages.atlas._exemplars import Exemplars
from cnnaudit.pages.atlas._optima import FIELDS, Direction, Optima

COUNT = ("units",)


class Store:
    """The files of one layer under the same settings; those of other settings lie in other folders.

    Example:
        >>> Store(Path("work"), "conv1", "settings").optima("maximum") is None
        True
    """

    def __init__(self, folder: Path, layer: str, settings: str) -> None:
        digest = hashlib.sha256(f"{layer}\n{settings}".encode()).hexdigest()[:12]
        self.folder = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', layer).strip('.-')[:60]}-{digest}"

    def optima(self, direction: Direction) -> Optima | None:
        """All units of that direction that are there, ascending; None: none."""
        found = [part for path in sorted(self.folder.glob(f"{direction}-*.npz")) if (part := _read(path, FIELDS))]
        if not found:
            return None
        joined = [np.concatenate([part[name] for part in found]) for name in FIELDS]
        _, first = np.unique(joined[0], return_index=True)
        return Optima(*(column[first] for column in joined))

    def add(self, direction: Direction, found: Optima) -> None:
        """Keep a finished batch; it is on the disk, whole, before this returns."""
        _write(self.folder / f"{direction}-{int(found.units[0]):05d}.npz", found, FIELDS)

    def exemplars(self) -> Exemplars | None:
        """The natural exemplars, None where they have not been sought."""
        found = _read(self.folder / "exemplars.npz", EXEMPLAR_FIELDS)
        return None if found is None else Exemplars(**found)

    def add_exemplars(self, found: Exemplars) -> None:
        """Keep the natural exemplars."""
        _write(self.folder / "exemplars.npz", found, EXEMPLAR_FIELDS)

    def count(self) -> int | None:
        """How many units the measured speed allowed; None: it has not been measured."""
        found = _read(self.folder / "count.npz", COUNT)
        return None if found is None else int(found["units"])

    def keep_count(self, units: int) -> None:
        """Keep how many units are shown."""
        _write(self.folder / "count.npz", SimpleNamespace(units=np.asarray(units)), COUNT)


def _read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None where it is missing or damaged, so that it is made again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, struct.error, zlib.error, zipfile.BadZipFile):
        return None


def _write(path: Path, found: Any, names: Sequence[str]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(found, name) for name in names})
    write_whole({path: buffer.getvalue()})
