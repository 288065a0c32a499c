"""Tables of a report as CSV files beside it."""

from __future__ import annotations

import csv
import io
from typing import Any

from cnnaudit.report.model import Report
from cnnaudit.report.paths import folder_name

TABLES = "tables"


def csv_tables(report: Report) -> dict[str, str]:
    """The text of each CSV file by its name, for all tables that have one.

    Example:
        >>> from cnnaudit.core import evidence
        >>> from cnnaudit.core.findings import Finding
        >>> pairs = evidence.table("Pairs", ["image", "copy"], [["a.png", "b.png"]], file="pairs.csv")
        >>> found = Finding("dataset.leakage", "demo", "pass", "Well.", statistic=0.0, evidence=(pairs,))
        >>> csv_tables(Report({"name": "demo"}, findings=(found,)))
        {'dataset.leakage-pairs.csv': 'image,copy\\na.png,b.png\\n'}
    """
    found = [(finding.check, item) for finding in report.findings for item in finding.evidence if item.get("file")]
    return {file_name(check, item["file"]): _csv([item["columns"], *item["rows"]]) for check, item in found}


def file_name(check: str, name: str) -> str:
    """The file of a check's table: different checks have different files."""
    return f"{folder_name(check)}-{name}"


def _csv(rows: list[list[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """A value as it is; text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
