"""Read reports and journals, which come from outside: every mistake in them is one sentence with its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import ReportError
from cnnaudit.report.forms import Refused
from cnnaudit.report.journal import NAME as JOURNAL_NAME
from cnnaudit.report.journal import Journal
from cnnaudit.report.model import Report
from cnnaudit.report.schema import check_report
from cnnaudit.report.words import printable

LARGEST = 256 * 2**20
LONGEST_INTEGER = 30


def load_report(path: str | os.PathLike[str]) -> Report:
    """The report in a `report.json`, a `journal.jsonl`, or in the folder that holds them.

    In a folder, the journal of a run that did not reach its end is rebuilt into a report that is marked incomplete.

    Raises:
        ReportError: there is no such file, or it is no report; with the JSON path of what is wrong.
    """
    file = Path(path)
    if file.is_dir():
        journal = file / JOURNAL_NAME
        if journal.is_file():
            found = load_journal(journal)
            if not found.ended:
                return found.report()
        file = file / "report.json"
    if file.suffix == ".jsonl":
        return load_journal(file).report()
    return report_from(parse(read(file), str(file)), file)


def load_journal(file: Path) -> Journal:
    """The journal of a run; a last line that was cut short is left out.

    Raises:
        ReportError: there is no such file, or it is no journal.
    """
    lines = read(file).split("\n")
    lines.pop()  # empty after the last line break; without one, the run died while it wrote the line
    rows = [parse(line, f"{file}, line {k}") for k, line in enumerate(lines, 1)]
    try:
        return Journal.from_json(rows)
    except ValueError as error:
        raise ReportError(f"{file}: not a cnnaudit journal: {error}") from None


def report_from(data: Any, file: Path) -> Report:
    """A report from parsed JSON.

    Raises:
        ReportError: it is no report.
    """
    try:
        check_report(data)
        return Report.from_json(data)
    except ValueError as error:  # FormError has the path, a Finding's own refusal has the check
        raise ReportError(f"{file}: not a cnnaudit report: {error}") from None


def read(file: Path) -> str:
    """The text of a file.

    Raises:
        ReportError: it cannot be read, is too large or not UTF-8.
    """
    wanted = "expected a report.json, a journal.jsonl or their folder"
    try:
        if file.exists() and not file.is_file():
            raise ReportError(f"{file}: cannot read the report (not a regular file); {wanted}")
        size = file.stat().st_size
        if size > LARGEST:
            raise ReportError(f"{file}: not a cnnaudit report: {size:,} bytes, a report has {LARGEST:,} at most")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ReportError(f"{file}: not a cnnaudit report: byte {error.start:,} is not UTF-8") from None
    except (OSError, ValueError) as error:  # a NUL in a path is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ReportError(f"{file}: cannot read the report ({reason}); {wanted}") from None


def parse(text: str, where: str) -> Any:
    """The JSON value of a text; what JSON or a report cannot hold becomes `Refused`, so that its path can be told.

    Raises:
        ReportError: it is not JSON.
    """
    try:
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=lambda word: Refused(f"{word}, which is not JSON"),
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ReportError(f"{where}: not a cnnaudit report: the nesting is too deep") from None
    except ValueError as error:
        raise ReportError(f"{where}: not a cnnaudit report: not JSON: {error}") from None


def _integer(digits: str) -> int | Refused:
    """An integer, refused where it has very many digits, which take quadratic time to read."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else Refused(f"an integer of {len(digits):,} digits")


def _float(digits: str) -> float | Refused:
    """A number, refused where it is beyond every finite one."""
    value = float(digits)
    return value if abs(value) < float("inf") else Refused(f"the number {digits[:30]}, which is not finite")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Refused:
    """An object, refused where a name stands in it twice."""
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return Refused(f"an object that has the name {printable(twice)[:60]!r} twice")
