"""Columns that describe images, from a CSV file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.tables import csv_lines, normal

# Decimal numbers in ASCII, as measurements are written. A leading zero makes a code of it: 001 is not 1.
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = ("", "nan", "NaN")
_EXACT = 2**53  # the largest range of whole numbers that floats tell apart
_LARGEST_NUMBER = float(np.finfo(np.float32).max)  # beyond it scikit-learn's trees take no number


def read_metadata(path: Path, files: Sequence[Path], root: Path, base: Path) -> Mapping[str, np.ndarray]:
    """The columns of a CSV file (comma, semicolon or tab), one value per image file, in the order of `files`.

    The first column, `file`, holds the path of the image relative to `base` (the audit file's folder), relative to
    `root` (the split's folder), or its bare name where that is unique in the split. Rows of other files are left out.
    Unicode forms do not matter: an accent is the same whether it is one character or two.
    A column becomes int64 or float64 where every value is a decimal number in ASCII (an empty one is NaN), else text.
    Codes stay text: `001`, `1_0`, and whole numbers too long for int64, or, beside fractions or gaps, for float64.

    Args:
        path: the CSV file, UTF-8.
        files: the image files of one split.

    Raises:
        DataError: the file cannot be read, has no `file` column, lists a file twice or misses an image of the split.
    """
    names, rows = _read(path)
    bare = Counter(normal(file.name) for file in files)
    values = []
    missing = []
    for file in files:
        name = normal(file.name)
        keys = [_relative(file, base), _relative(file, root), *([name] if bare[name] == 1 else [])]
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
    _check_forms(path, [_relative(file, base) for file in files])
    return {name: typed([row[k] for row in values]) for k, name in enumerate(names)}


def _check_forms(path: Path, names: Sequence[str]) -> None:
    """Refuse two files that only the Unicode form of their names tells apart: one row would speak of both."""
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(
            f"{path.name}: two image files are called {twice}, in two Unicode forms that look the same. Rename one"
        )


def _read(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The names of the columns after `file`, and each file's values in them."""
    lines = [line for _, line in csv_lines(path, "metadata")]
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
    """The normalized path relative to the folder, or as it is where it lies elsewhere."""
    return normal((file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix())


def typed(column: Sequence[str]) -> np.ndarray:
    """The column as int64, float64 (empty: NaN) or text, see `read_metadata`.

    Example:
        >>> typed(["1", "2.5", ""]).tolist(), typed(["001", "1"]).tolist()
        ([1.0, 2.5, nan], ['001', '1'])
    """
    for read in (_whole_numbers, _numbers):
        if (numbers := read(column)) is not None:
            return numbers
    return np.array(column, dtype=str)


def _whole_numbers(column: Sequence[str]) -> np.ndarray | None:
    """The column as int64; None where a value is no whole number of that range."""
    if not all(len(text) <= 20 and _WHOLE.fullmatch(text) for text in column):
        return None
    values = [int(text) for text in column]
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    return np.array(values, dtype=np.int64) if all(low <= value <= high for value in values) else None


def _numbers(column: Sequence[str]) -> np.ndarray | None:
    """The column as float64, NaN where a value is missing; None where a value is no number that float64 can hold."""
    if not all(text in _MISSING or (_NUMBER.fullmatch(text) and _holds(text)) for text in column):
        return None
    return np.array([float("nan") if text in _MISSING else float(text) for text in column])


def _holds(text: str) -> bool:
    """Whether float64 keeps the number: neither too large nor a whole number that others would be rounded to."""
    value = abs(float(text))
    return value < _EXACT if _WHOLE.fullmatch(text) else value <= _LARGEST_NUMBER
