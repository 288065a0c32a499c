"""What the tests of a run found, gathered in the process that reports it, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import AuditError, ReportError
from cnnaudit.core.records import Record
from cnnaudit.core.wording import one_line

if TYPE_CHECKING:
    from cnnaudit.report import Report
    from cnnaudit.report.journal import Journal


@dataclass
class Results:
    """The records that reached this process, and those that the journals of its run hold beside them."""

    run: str
    folder: Path
    _records: dict[str, dict[str, Record]] = field(default_factory=dict)

    def add(self, found: Record) -> None:
        """Keep a record; a check that is asked again replaces its earlier answer."""
        self._records.setdefault(str(found.target["name"]), {})[found.check] = found

    def reports(self, finished: bool) -> list[Report]:
        """One report per target, in the order of their names.

        Args:
            finished: whether the run reached its end, which counts for a target without a journal.
        """
        written = dict(journals(self.folder, self.run))
        return [self._journal(name, written.get(name)).report(finished) for name in sorted({*self._records, *written})]

    def _journal(self, name: str, written: Journal | None) -> Journal:
        """The journal of a target, with the records that it could not take."""
        from cnnaudit.report.journal import Journal

        held = self._records.get(name, {})
        if written is None:
            first = next(iter(held.values()))
            return Journal(self.run, first.target, first.environment, records=tuple(held.values()))
        there = {record.check for record in written.records}
        lacking = [record for check, record in held.items() if check not in there]
        return replace(written, records=(*written.records, *lacking))

    def end(self, reports: Sequence[Report]) -> None:
        """Say in the journals that the run reached its end and that its reports are written."""
        from cnnaudit.report.journal import NAME, end
        from cnnaudit.report.paths import folder_name

        for report in reports:
            folder = self.folder / folder_name(report.name)
            if (folder / NAME).is_file():
                end(folder)


def journals(folder: Path, run: str) -> Iterator[tuple[str, Journal]]:
    """The journals of a run under a report folder, by the names of their targets; unreadable ones are left out."""
    from cnnaudit.report import load_journal
    from cnnaudit.report.journal import NAME, run_of

    for file in sorted(folder.glob(f"*/{NAME}")):
        if run_of(file) == run:
            try:
                found = load_journal(file)
            except ReportError:
                continue
            yield str(found.target["name"]), found


def write(reports: Sequence[Report], folder: Path) -> tuple[list[Path], list[str]]:
    """Write every report into its own folder, whatever becomes of the others.

    Returns:
        The pages to open first, and what went wrong.
    """
    from cnnaudit.report import folder_name, write_index, write_report, write_step_summary

    pages: list[Path] = []
    problems: list[str] = []

    def attempt(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except (AuditError, OSError) as error:
            problems.append(str(error))
        except Exception as error:  # a defect of one format must not cost the run's other results
            problems.append(one_line(error))

    for report in reports:
        paths = attempt(partial(write_report, report, folder / folder_name(report.name)))
        pages += [paths["html"]] if paths else []
    if len(reports) > 1:
        index = attempt(partial(write_index, reports, folder))
        pages = [index] if index else pages
    attempt(partial(write_step_summary, reports))
    return pages, list(dict.fromkeys(problems))
