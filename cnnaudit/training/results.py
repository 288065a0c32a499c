"""The results of a search: one row per trained network, in one CSV file that grows and can be gone on from."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cnnaudit.core.errors import DataError
from cnnaudit.training._grid import Architecture


@dataclass(frozen=True)
class Row:
    """One trained network.

    Attributes:
        search: what it was trained on and how, as a short hash; rows of other data are not taken for these.
        purpose: `screen` (was it worth more epochs?) or `confirm` (fresh seeds of a candidate).
        parameters: of the network.
        draw: which draw of the data; 0: the data as they were given.
        order_seed: of the order of the images.
        given: epochs that it was given; `epochs`: epochs that it used, fewer where it reached the goal early.
        train_accuracy, validation_accuracy: of the final weights over all images.
        outcome: `trained`, `dead`, `diverged` or `reached`, as in `StackedResult`.
        seconds: its share of the computing time.
    """

    search: str
    purpose: str
    parameters: int
    architecture: Architecture
    seed: int
    order_seed: int
    draw: int
    given: int
    epochs: int
    train_accuracy: float
    validation_accuracy: float
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Training:
    """What makes two trainings the same; a row's key does not depend on when or why it was trained."""

    architecture: Architecture
    seed: int
    order_seed: int
    draw: int
    given: int


_OF_NETWORK = [field.name for field in fields(Architecture)]
COLUMNS = [name for field in fields(Row) for name in (_OF_NETWORK if field.name == "architecture" else [field.name])]
_WHOLE = {"filters", "kernel", "stride", "pool", "hidden", "size", "channels", "classes"} | {
    "parameters",
    "seed",
    "order_seed",
    "draw",
    "given",
    "epochs",
}
_REAL = {"learning_rate", "train_accuracy", "validation_accuracy", "seconds"}


class Results:
    """The rows of a search, in memory and, where a path is given, in a CSV file.

    Rows are appended in one write of whole lines, which is on the disk before `add` returns. A line that was cut short
    (the machine went down) is removed when the file is read again; what it told is trained anew.

    Args:
        path: the file; rows of the same search that it holds already are taken over. None: in memory only.
        search: the hash that the rows of this search carry.

    Raises:
        DataError: the file is none of this search's: other columns, or rows of another search.
    """

    def __init__(self, path: Path | None, search: str) -> None:
        self.path, self.search = path, search
        self._rows: dict[Training, Row] = {}
        if path is not None:
            for row in _read(path, search):
                self._rows[key_of(row)] = row

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order in which they came."""
        return list(self._rows.values())

    def __contains__(self, key: Training) -> bool:
        return key in self._rows

    def __getitem__(self, key: Training) -> Row:
        return self._rows[key]

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows, and write them to the file."""
        self._rows |= {key_of(row): row for row in rows}
        if self.path is not None and rows:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            start = not self.path.exists() or not self.path.stat().st_size
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            before = os.fstat(descriptor).st_size
            try:
                left = as_csv(rows, header=start).encode()
                while left:  # a disk that is nearly full takes a part
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
            finally:
                os.close(descriptor)


def key_of(row: Row) -> Training:
    """The key of a row."""
    return Training(row.architecture, row.seed, row.order_seed, row.draw, row.given)


def as_csv(rows: Iterable[Row], header: bool = True) -> str:
    """Rows as CSV text, `hidden` empty where there is no hidden layer."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    for row in rows:
        values = {field.name: getattr(row, field.name) for field in fields(Row) if field.name != "architecture"}
        writer.writerow(values | asdict(row.architecture))
    return text.getvalue()


def _read(path: Path, search: str) -> list[Row]:
    """The rows of a file, after a last line that was cut short is removed from it."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(path, len(whole))
    if not whole:
        return []
    reader = csv.DictReader(io.StringIO(whole.decode("utf-8", "replace")))
    if reader.fieldnames != COLUMNS:
        raise DataError(f"{path}: not a file of this search (its columns differ); name another results file")
    try:
        rows = [_row(values) for values in reader]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: line {reader.line_num} is no row of a search ({error}); remove the line") from None
    if any(row.search != search for row in rows):
        raise DataError(
            f"{path}: holds a search on other data, with another target accuracy or another training; remove the file, "
            "or name another"
        )
    return rows


def _row(values: dict[str, str]) -> Row:
    """The row of a line."""
    typed = {
        name: (int(text) if text else None) if name in _WHOLE else float(text) if name in _REAL else text
        for name, text in values.items()
    }
    network = Architecture(**{name: typed.pop(name) for name in _OF_NETWORK})  # type: ignore[arg-type]
    return Row(architecture=network, **typed)  # type: ignore[arg-type]
