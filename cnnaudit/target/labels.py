"""A table of labels beside a flat folder of images: which columns it means, its classes, and the rows of a split."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.core.wording import listed, nearest
from cnnaudit.target.formats import suffixes
from cnnaudit.target.metadata import typed
from cnnaudit.target.tables import Table, normal, one_of

FILE = (
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "path",
    "image",
    "image_path",
    "image_id",
    "img",
    "id",
)
LABEL = ("label", "labels", "class", "class_name", "category", "target", "diagnosis", "y")
SPLIT = ("split", "set", "subset", "partition", "fold")
TRAIN = ("train", "training", "0_train")
VALIDATION = ("validation", "valid", "val", "dev", "test", "testing")
KEYS = ("file", "label", "split")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table that hold the image's file, its label and, where there is one, its split."""

    file: str
    label: str
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """The images of one split as a table names them: files, labels (N,) in 0..K-1, and the other columns."""

    files: list[Path]
    labels: np.ndarray
    metadata: Mapping[str, np.ndarray]


def understand(table: Table, given: Mapping[str, str]) -> Columns:
    """The columns that a table means: those that `data.columns` names, else those with one of the usual names.

    Raises:
        DataError: a named column is not there, or none has a usual name.

    Example:
        >>> table = Table("labels.csv", ("image_id", "diagnosis"), (("1", "benign"),), ("line 2",))
        >>> understand(table, {})
        Columns(file='image_id', label='diagnosis', split=None)
    """
    found: dict[str, str | None] = {}
    for key, usual in zip(KEYS, (FILE, LABEL, SPLIT)):
        name = given.get(key)
        if name is not None and name not in table.columns:
            raise DataError(
                f"{table.source}, line 1: data.columns.{key} = {name!r} is no column of it, it has "
                f"{listed(table.columns, 12)}{nearest(name, table.columns)}"
            )
        found[key] = name or one_of(table, usual)
        if found[key] is None and key != "split":
            raise DataError(
                f"{table.source}, line 1: no column for the {key} ({', '.join(usual)}), it has "
                f"{listed(table.columns, 12)}. Name it: data.columns = {{ {key} = {table.columns[0]!r} }}"
            )
    if len({name for name in found.values() if name}) < sum(name is not None for name in found.values()):
        raise DataError(f"{table.source}, line 1: expected columns of their own for file, label and split, got {found}")
    return Columns(str(found["file"]), str(found["label"]), found["split"])


def classes_of(table: Table, columns: Columns) -> tuple[str, ...]:
    """The values of the label column: whole numbers ascending, names in alphabetical order."""
    values = {value for value in table.column(columns.label) if value}
    whole = all(re.fullmatch(r"[0-9]{1,9}", value) for value in values)
    return tuple(sorted(values, key=int)) if whole else tuple(sorted(values))


def rows_of(table: Table, columns: Columns, split: str) -> list[int]:
    """The rows of a split: all of them where the table has no split column.

    A `test` part is the validation split only where the table has no part for validation.

    Raises:
        DataError: a row's split is none of the usual names, or no row is of this one.
    """
    if columns.split is None:
        return list(range(len(table.rows)))
    values = [value.lower() for value in table.column(columns.split)]
    for value, line in zip(values, table.lines):
        if value not in (*TRAIN, *VALIDATION):
            raise DataError(
                f"{table.source}, {line}, column {columns.split!r}: {printable(value[:100])!r} names no split; "
                "expected "
                f"one of {', '.join((*TRAIN[:2], *VALIDATION))}"
            )
    wanted: tuple[str, ...] = TRAIN
    if split != "train":
        test, own = VALIDATION[4:], VALIDATION[:4]
        wanted = own if any(value in own for value in values) else test
    rows = [k for k, value in enumerate(values) if value in wanted]
    if not rows:
        raise DataError(
            f"{table.source}: no row of its column {columns.split!r} belongs to data.{split}; expected "
            f"{' or '.join(wanted)}"
        )
    return rows


def labels_of(table: Table, columns: Columns, rows: Iterable[int], classes: Sequence[str]) -> np.ndarray:
    """The label of each of the rows, int64: the position of its name in `classes`, or a whole number in 0..K-1.

    Raises:
        DataError: a label is missing or no class; the message names its line.
    """
    places = {normal(name): k for k, name in enumerate(classes)}
    values = table.column(columns.label)
    numbered = not any(value in places for value in values)
    labels = []
    for row in rows:
        value = values[row]
        place = places.get(value)
        if place is None and numbered and re.fullmatch(r"[0-9]{1,9}", value) and int(value) < len(classes):
            place = int(value)
        if place is None:
            raise DataError(
                f"{table.source}, {table.lines[row]}, column {columns.label!r}: {printable(value[:100])!r} is none of "
                f"data.classes = {list(classes)[:12]}{nearest(value[:100], places)}. Correct the label, add the class, "
                "or take the row out"
            )
        labels.append(place)
    return np.array(labels, dtype=np.int64)


def read_labelled(
    table: Table,
    columns: Columns,
    split: str,
    classes: Sequence[str],
    folders: Sequence[Path],
    inside: Path | None,
    others: Sequence[Path] = (),
) -> Labelled:
    """The images of a split, in the order of the table.

    Args:
        folders: where relative paths start, the first that has the file counts.
        inside: the folder that every image must lie in; None: anywhere.
        others: the folders of the other splits, where the table has no column for the split: rows of images there are
            theirs.

    Raises:
        DataError: a file is missing, lies outside, or is named by two rows, or a label is no class.
    """
    rows = rows_of(table, columns, split)
    if not rows:
        raise DataError(f"{table.source}: expected a row for each image, found none")
    names, files, kept = table.column(columns.file), [], []
    for row in range(len(names)) if columns.split else rows:
        if not names[row]:
            raise DataError(
                f"{table.source}, {table.lines[row]}, column {columns.file!r}: expected a file, got nothing"
            )
    _check_twice(table, columns)
    for row in rows:
        path = resolved(table, columns, row, [*folders, *others])
        if inside is None or _lies_in(path, inside):
            files.append(path)
            kept.append(row)
        elif not any(_lies_in(path, folder) for folder in others):
            raise DataError(
                f"{_where(table, columns, row)}: {printable(names[row][:200])} lies outside the folder "
                f"{printable(str(inside))}. Move the "
                "image into it, or name a folder that holds all images"
            )
    if not kept:
        raise DataError(f"{table.source}: names no image in {printable(str(inside))}, the folder of data.{split}")
    labels = labels_of(table, columns, kept, classes)
    own = (columns.file, columns.label, columns.split)
    values = {name: table.column(name) for name in table.columns if name not in own}
    return Labelled(files, labels, {name: typed([column[row] for row in kept]) for name, column in values.items()})


def resolved(table: Table, columns: Columns, row: int, folders: Sequence[Path]) -> Path:
    """The file that a row names, in the first of the folders that has it.

    Raises:
        DataError: none has it.
    """
    return _file(table.column(columns.file)[row], _where(table, columns, row), folders)


def _where(table: Table, columns: Columns, row: int) -> str:
    return f"{table.source}, {table.lines[row]}, column {columns.file!r}"


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _check_twice(table: Table, columns: Columns) -> None:
    """Refuse two rows of one file, in one split or in two."""
    first: dict[str, int] = {}
    splits = table.column(columns.split) if columns.split else [""] * len(table.rows)
    for row, name in enumerate(table.column(columns.file)):
        key = os.path.normpath(name.replace("\\", "/"))
        if key in first:
            other = first[key]
            mixed = f", in the splits {splits[other]!r} and {splits[row]!r}" if splits[other] != splits[row] else ""
            raise DataError(
                f"{table.source}, {table.lines[row]}, column {columns.file!r}: {printable(name[:200])} stands in "
                f"{table.lines[other]} too{mixed}. Keep one of the rows"
            )
        first[key] = row


def _file(name: str, where: str, folders: Sequence[Path]) -> Path:
    """The image file that a row names; an id without an ending gets the ending that there is."""
    shown = printable(name[:200])
    plain = Path(name.replace("\\", "/"))
    try:
        for folder in folders:
            path = folder / plain
            found = [path] if path.is_file() else []
            if not found and path.suffix.lower() not in suffixes():
                found = [p for ending in sorted(suffixes()) if (p := path.with_name(path.name + ending)).is_file()]
            if len(found) > 1:
                raise DataError(f"{where}: {shown} could be {listed([p.name for p in found])}; write the ending")
            if found:
                return found[0]
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: {shown} cannot be a file ({getattr(error, 'strerror', None) or error})") from None
    tried = ", ".join(printable(str(folder)) for folder in folders[:3])
    raise DataError(f"{where}: no such image, {shown} (looked in {tried}). Correct the path or take the row out")
