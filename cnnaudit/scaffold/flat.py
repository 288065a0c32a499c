"""A flat folder of images with a table of labels beside it, as `init` understands it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.target.labels import Columns, classes_of, resolved, understand
from cnnaudit.target.tables import SUFFIXES, Table, read_table

LOOKED_AT = 20  # rows


@dataclass(frozen=True, slots=True)
class Labels:
    """A table of labels: the file, its columns, and the images per class."""

    path: Path
    columns: Columns
    classes: tuple[str, ...]
    counts: dict[str, int]
    files: tuple[Path, ...]
    splits: tuple[str, ...]

    @property
    def words(self) -> str:
        """What was understood, in one sentence."""
        split = f", the split in {self.columns.split!r}" if self.columns.split else ", without a column for the split"
        return (
            f"{self.path.name} was understood as the labels: the file in {self.columns.file!r}, the label in "
            f"{self.columns.label!r}{split}"
        )


def find_labels(folder: Path) -> Labels:
    """The table in a flat folder or beside it whose rows name images of the folder.

    Raises:
        AuditError: there is none, or several.
    """
    candidates = [path for place in (folder, folder.resolve().parent) for path in sorted(place.iterdir())]
    tables = [path for path in candidates if path.suffix.lower() in SUFFIXES and path.is_file()]
    found, reasons = [], []
    for path in tables:
        try:
            found.append(_read(path, folder))
        except DataError as error:
            reasons.append(str(error))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(labels.path.name for labels in found)
        raise AuditError(
            f"{folder}: several tables name its images, {names}; move the others away, or write data.labels"
        )
    raise AuditError(
        f"{folder} holds no folders: expected one folder of images per class, or a table (.csv, .tsv, .parquet) of "
        "files "
        f"and labels in it or beside it{''.join(f'; {reason}' for reason in reasons[:3])}"
    )


def _read(path: Path, folder: Path) -> Labels:
    table: Table = read_table(path)
    columns = understand(table, {})
    rows = range(min(len(table.rows), LOOKED_AT))
    names = table.column(columns.file)
    files = tuple(resolved(table, columns, row, (folder, path.parent)) for row in rows)
    if not names:
        raise DataError(f"{path.name}: the table has no rows")
    counts = Counter(table.column(columns.label))
    splits = tuple(sorted(set(table.column(columns.split)))) if columns.split else ()
    classes = classes_of(table, columns)
    return Labels(path, columns, classes, {name: counts[name] for name in classes}, files, splits)
