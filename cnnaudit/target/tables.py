"""Tables beside images: CSV (comma, semicolon or tab) and Parquet, read as text, with the line of every row."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.core.wording import one_line

SUFFIXES = (".csv", ".tsv", ".parquet")
LARGEST_FILE = 200_000_000  # bytes
MOST_ROWS = 20_000_000
MOST_COLUMNS = 2_000


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under the names of their columns.

    Attributes:
        source: the file's name, for messages.
        rows: each with one value per column.
        lines: where each row stands, such as `line 7`.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]

    def column(self, name: str) -> list[str]:
        """The values of a column, in the order of the rows."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_table(path: Path) -> Table:
    """The table of a CSV file in UTF-8 or of a Parquet file; empty lines are passed over.

    Raises:
        DataError: the file cannot be read, a column is named twice or not at all, or a row has another length.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    lines = list(csv_lines(path, "table"))
    header = tuple(name.strip() for name in lines[0][1]) if lines else ()
    _check_header(path.name, header)
    rows, places = [], []
    for number, line in lines[1:]:
        if not any(line):
            continue
        if len(line) != len(header):
            raise DataError(f"{path.name}, line {number}: expected {len(header)} values, got {len(line)}")
        rows.append(tuple(value.strip() for value in line))
        places.append(f"line {number}")
    return Table(path.name, header, tuple(rows), tuple(places))


def csv_lines(path: Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the values of each line of a CSV file, in one Unicode form: editors differ in storing accents.

    Args:
        what: the file is, for messages.

    Raises:
        DataError: the file is missing, too long, no UTF-8 or no CSV.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise OSError(f"expected a file of at most {LARGEST_FILE:,} bytes")
        text = normal(path.read_bytes().decode("utf-8-sig"))
        if "\0" in text:
            raise csv.Error("line contains NUL")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for line in reader:
            yield reader.line_num, line
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path.name}: the {what} cannot be read as CSV in UTF-8 ({error})") from None


def of_frame(source: str, frame: Any, columns: Sequence[str]) -> Table:
    """The named columns of a DataFrame as text; a missing value is empty.

    Raises:
        DataError: a column is named twice.
    """
    _check_header(source, tuple(str(name) for name in frame.columns))
    values = [[_as_text(value) for value in frame[name].tolist()] for name in columns]
    lines = tuple(f"row {number}" for number in range(len(frame)))
    return Table(source, tuple(columns), tuple(zip(*values)), lines)


def normal(text: str) -> str:
    """The text in one Unicode form."""
    return unicodedata.normalize("NFC", text)


def _parquet(path: Path) -> Table:
    """A Parquet file, whose number of rows is looked at before any is read."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise DataError(
            f"{path.name}: Parquet needs pyarrow: pip install 'cnnaudit[parquet]', or save the table as CSV"
        ) from None
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise OSError(f"expected a file of at most {LARGEST_FILE:,} bytes")
        with parquet.ParquetFile(path, memory_map=False) as file:
            size = file.metadata.num_rows * len(file.schema_arrow.names)
            groups = (file.metadata.row_group(k) for k in range(file.metadata.num_row_groups))
            unpacked = sum(group.total_byte_size for group in groups)
            if file.metadata.num_rows > MOST_ROWS or size > 20 * MOST_ROWS or unpacked > 10 * LARGEST_FILE:
                raise OSError(f"expected at most {MOST_ROWS:,} rows")
            names = tuple(normal(str(name)).strip() for name in file.schema_arrow.names)
            _check_header(path.name, names)
            read = file.read()
    except DataError:
        raise
    except Exception as error:  # pyarrow has many
        raise DataError(f"{path.name}: the table cannot be read as Parquet ({one_line(error)})") from None
    values = [[_as_text(value) for value in column.to_pylist()] for column in read.columns]
    rows = tuple(zip(*values))
    return Table(path.name, names, rows, tuple(f"row {number}" for number in range(1, len(rows) + 1)))


def _as_text(value: Any) -> str:
    """A value as CSV would hold it: nothing for what is missing, 3 for 3.0."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return normal(str(value)).strip()


def _check_header(source: str, names: tuple[str, ...]) -> None:
    if not names or not all(names) or len(set(names)) < len(names) or len(names) > MOST_COLUMNS:
        raise DataError(
            f"{source}, line 1: expected the names of the columns, each once and at most {MOST_COLUMNS:,}, "
            f"got {printable(str(list(names[:20])))}"
        )


def one_of(table: Table, names: Sequence[str]) -> str | None:
    """The first of the names, in lower case, that is a column of the table."""
    known: Mapping[str, str] = {column.lower(): column for column in reversed(table.columns)}
    return next((known[name] for name in names if name in known), None)
