"""Columns that describe images, from a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError


def read_metadata(path: Path, files: Sequence[Path], root: Path, base: Path) -> Mapping[str, np.ndarray]:
    """The columns of a CSV file (comma, semicolon or tab), one value per image file, in the order of `files`.

    The first column, `file`, holds the path of the image relative to `base` (the audit file's folder), relative to
    `root` (the split's folder), or its bare name where that is unique in the split. Rows of other files are left out.
    A column becomes int64 or float64 where every value is a number (an empty one is NaN), else text.

    Args:
        path: the CSV file, UTF-8.
        files: the image files of one split.

    Raises:
        DataError: the file cannot be read, has no `file` column, lists a file twice or misses an image of the split.
    """
    names, rows = _read(path)
    bare = Counter(file.name for file in files)
    values = []
    missing = []
    for file in files:
        keys = [_relative(file, base), _relative(file, root), *([file.name] if bare[file.name] == 1 else [])]
        found = next((rows[key] for key in keys if key in rows), None)
        if found is None:
            missing.append(keys[0])
        else:
            values.append(found)
    if missing:
        raise DataError(
            f"{path.name}: expected a row for each of {len(files)} images in {_relative(root, base)}, {len(missing)} "
            f"have none, the first is {missing[0]}. Add rows with that path in the column 'file'"
        )
    return {name: _typed([row[k] for row in values]) for k, name in enumerate(names)}


def _read(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The names of the columns after `file`, and each file's values in them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = max(",;\t", key=header.count)
            stream.seek(0)
            lines = list(csv.reader(stream, delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name}: the metadata cannot be read as CSV in UTF-8 ({error})") from None
    header_row = [name.strip() for name in lines[0]] if lines else []
    if len(header_row) < 2 or header_row[0] != "file" or len(set(header_row)) < len(header_row):
        raise DataError(
            f"{path.name}: expected a first line 'file' and the names of other columns, each once, got {header_row}"
        )
    rows: dict[str, list[str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(line):
            continue
        if len(line) != len(header_row):
            raise DataError(f"{path.name}, row {number}: expected {len(header_row)} values, got {len(line)}")
        key = Path(line[0].strip().replace("\\", "/")).as_posix()
        if key in rows:
            raise DataError(f"{path.name}, row {number}: {key} is listed twice")
        rows[key] = [value.strip() for value in line[1:]]
    return header_row[1:], rows


def _relative(file: Path, folder: Path) -> str:
    """The path relative to the folder, or as it is where it lies elsewhere."""
    return (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()


def _typed(column: Sequence[str]) -> np.ndarray:
    """The column as whole numbers, numbers (empty: NaN) or text."""
    for read in (int, lambda text: float(text) if text else float("nan")):
        try:
            return np.array([read(text) for text in column])
        except (ValueError, OverflowError):
            continue
    return np.array(column, dtype=str)
