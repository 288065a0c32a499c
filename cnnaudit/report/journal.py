"""The journal of a run on one target: a line per check, on the disk the moment the check ends.

The first line names the run, the target, the environment and the tests that were selected; a line `{"end": true}` says
that the run reached its end and wrote its report. Several processes may append to one journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnaudit.core.files import write_whole
from cnnaudit.core.records import Record, Selected, completeness
from cnnaudit.report.forms import plain_json
from cnnaudit.report.model import Report
from cnnaudit.report.schema import JOURNAL, check_entry, check_header

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Journal:
    """What a journal holds.

    Attributes:
        run: the id of the run that wrote it.
        selected: the tests that were to audit the target; None where that was not known.
        ended: whether the run reached its end.
    """

    run: str
    target: Mapping[str, Any]
    environment: Mapping[str, Any]
    selected: tuple[Selected, ...] | None = None
    records: tuple[Record, ...] = ()
    ended: bool = False

    def header(self) -> dict[str, Any]:
        """The first line as JSON values."""
        tests = None if self.selected is None else [{"test": s.test, "checks": list(s.checks)} for s in self.selected]
        about = {"run": self.run, "target": dict(self.target), "environment": dict(self.environment)}
        return {"schema": JOURNAL, **about, "selected": tests}

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Journal:
        """A journal from the values of its lines.

        Raises:
            ValueError: a line does not have its form.
        """
        if not rows:
            raise ValueError("it has no header line")
        header, *entries = rows
        check_header(header)
        target, environment, records = header["target"], header["environment"], []
        for k, entry in enumerate(entries, 2):
            try:
                check_entry(entry)
                if "end" not in entry:
                    records.append(Record.from_json({**entry, "target": target, "environment": environment}))
            except ValueError as error:
                raise ValueError(f"line {k}: {error}") from None
        tests = header["selected"]
        selected = None if tests is None else tuple(Selected(one["test"], tuple(one["checks"])) for one in tests)
        ended = any("end" in entry for entry in entries)
        return cls(header["run"], target, environment, selected, tuple(records), ended)

    def report(self, finished: bool = False) -> Report:
        """The report of what was recorded; it is complete where nothing that was selected is missing.

        Args:
            finished: whether the run reached its end, which counts where it is not known what was selected.
        """
        last = {record.check: record for record in self.records}  # a check that was asked again has a new answer
        counted = completeness(self.selected or (), last.values())
        return Report(
            self.target,
            self.environment,
            tuple(finding for record in last.values() for finding in record.findings),
            tuple({"check": record.check, "message": record.error} for record in last.values() if record.error),
            not counted["missing"] and (self.selected is not None or finished or self.ended),
            completeness=counted,
            journal={"run": self.run, "records": len(last)},
            predictions=_predictions(self.records),
        )


def _predictions(records: Sequence[Record]) -> Mapping[str, Any] | None:
    """What the records say of the model's predictions: a section with data rather than why there is none."""
    found = [record.predictions for record in records if record.predictions is not None]
    return next((section for section in found if "missing" not in section), found[0] if found else None)


def begin(folder: Path, journal: Journal) -> bool:
    """Start the journal of a run in a target's folder, unless another process of the same run did so already.

    Returns:
        Whether it was started now.

    Raises:
        OSError: it cannot be written.
        ValueError: the header could not be read again.
    """
    if run_of(folder / NAME) == journal.run:
        return False
    header = _line(journal.header())
    check_header(json.loads(header))
    write_whole({folder / NAME: header})
    return True


def line(record: Record) -> str:
    """The line of a record.

    Raises:
        TypeError, ValueError: the line could not be read again.
    """
    values = record.to_json()
    keys = ("check", "test", "findings", "error", "ignored", *(["predictions"] if record.predictions else []))
    text = _line({key: values[key] for key in keys})
    check_entry(json.loads(text))
    return text


def append(folder: Path, line: str) -> None:
    """Append a line to the journal in a target's folder, and wait until it is on the disk.

    One write appends it whole, so that the lines of several processes do not mix.

    Raises:
        OSError: it cannot be written.
    """
    data = line.encode("ascii")
    handle = os.open(folder / NAME, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
    try:
        if os.write(handle, data) != len(data):
            raise OSError(28, "No space left on device", str(folder / NAME))
        os.fsync(handle)
    finally:
        os.close(handle)


def end(folder: Path) -> None:
    """Say in the journal that the run reached its end.

    Raises:
        OSError: it cannot be written.
    """
    append(folder, _line({"end": True}))


def run_of(file: Path) -> str:
    """The id of the run that wrote a journal; empty where there is none."""
    try:
        with file.open(encoding="utf-8") as lines:
            header = json.loads(lines.readline(2**24))
        check_header(header)
    except (OSError, ValueError, RecursionError):
        return ""
    return str(header["run"])


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(plain_json(values), allow_nan=False) + "\n"
