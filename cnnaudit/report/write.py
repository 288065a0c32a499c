"""Reports as files, each written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.report._markdown import markdown
from cnnaudit.report.card import card
from cnnaudit.report.forms import plain_json
from cnnaudit.report.html import page
from cnnaudit.report.model import Report
from cnnaudit.report.overview import index_page
from cnnaudit.report.sarif import sarif
from cnnaudit.report.tables import TABLES, csv_tables

LINE = 110


def write_report(report: Report, folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Write `report.json`, `report.md`, `report.html` and `report.sarif` into a folder, and give their paths by format.

    Tables with a file name are also written, as `tables/*.csv`; those of an earlier report are removed. The files
    appear together: everything is written beside its place first, then moved there.

    Raises:
        AuditError: the folder cannot be written; an older report stays as it was.
    """
    texts = {
        "json": json_text(plain_json(report.to_json())),
        "md": markdown([report]),
        "html": page(report),
        "sarif": json_text(sarif(report)),
    }
    tables = {f"{TABLES}/{name}": text for name, text in csv_tables(report).items()}
    files = {f"report.{kind}": text for kind, text in texts.items()}
    paths = _write(Path(folder), {**files, **tables})
    for old in (Path(folder) / TABLES).glob("*.csv"):
        if f"{TABLES}/{old.name}" not in tables:
            old.unlink(missing_ok=True)
    return dict(zip(texts, paths))


def write_card(report: Report, folder: str | os.PathLike[str]) -> Path:
    """Write `model-card.md` into a folder, and give its path.

    Raises:
        AuditError: the folder cannot be written; an older card stays as it was.
    """
    return _write(Path(folder), {"model-card.md": card(report)})[0]


def write_index(reports: Sequence[Report], folder: str | os.PathLike[str]) -> Path:
    """Write `index.html`, an overview of several targets that links `<target>/report.html`, and give its path.

    Raises:
        AuditError: the folder cannot be written; an older index stays as it was.
    """
    return _write(Path(folder), {"index.html": index_page(reports)})[0]


def json_text(value: Any) -> str:
    """JSON that a person can read: sorted keys, indented, but short lists and all lists of plain values on one line.

    Example:
        >>> print(json_text({"b": [1, 2], "a": {"x": 1.5}}), end="")
        {
          "a": {"x": 1.5},
          "b": [1, 2]
        }
    """
    return _lines(value, "", outermost=True) + "\n"


def _lines(value: Any, indent: str, outermost: bool = False) -> str:
    """The value as JSON, its continuation lines indented."""
    flat = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    children = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else []
    plain = not any(isinstance(child, (Mapping, list, tuple)) for child in children)
    if not children or (plain and not isinstance(value, Mapping)) or (plain and len(flat) <= LINE and not outermost):
        return flat
    inner = indent + "  "
    if isinstance(value, Mapping):
        keys = sorted(value)
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_lines(value[key], inner)}" for key in keys]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write the files into a folder, all or none."""
    texts = {folder / name: text for name, text in files.items()}
    try:
        write_whole(texts)
    except OSError as error:
        raise AuditError(
            f"{folder}: the report cannot be written ({error.strerror or error}); an older report there was kept. "
            "Free space or choose another folder with --audit-report"
        ) from None
    return list(texts)
