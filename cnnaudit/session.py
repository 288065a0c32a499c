"""What a test run needs of an audit, without pytest: targets, one check asked, what its test says, results."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cnnaudit.core.errors import AuditError
from cnnaudit.core.expectations import Outcome, expect, outcomes
from cnnaudit.core.findings import Finding
from cnnaudit.core.wording import one_line

if TYPE_CHECKING:
    from cnnaudit.checks import Check
    from cnnaudit.report import Report
    from cnnaudit.target import AuditTarget


@dataclass(frozen=True)
class Settings:
    """What a run asks for; `started`, the ISO time of its start, dates its expectations and reports."""

    started: str
    profile: str = "quick"
    seed: int = 0
    strict: bool = False

    @property
    def today(self) -> datetime.date:
        """The day of the run."""
        return datetime.datetime.fromisoformat(self.started).date()


@dataclass(frozen=True)
class Source:
    """An audit file as it was found at collection: the name of its target, or what is wrong with the file."""

    name: str
    path: Path | None = None
    problem: str = ""


NO_SOURCE = Source(
    "no-target",
    problem="no target to audit: name an audit file with --audit-config audit.toml "
    "(`python -m cnnaudit init` writes one for a model and a folder of images)",
)


def sources(paths: Iterable[Path]) -> tuple[Source, ...]:
    """The audit files, read without loading a model; two targets of one name are a problem of the second.

    Without any file: the one source `NO_SOURCE`, so that a test that needs a target cannot pass unnoticed.
    """
    from cnnaudit.target.config import read

    found: list[Source] = []
    homes: dict[str, Path] = {}
    for path in {path.resolve(): path for path in paths}.values():
        try:
            name = read(path).name
        except AuditError as error:
            found.append(Source(path.stem, path, str(error)))
            continue
        home = homes.setdefault(name, path)
        twice = f"{path}: model.name = {name!r} is also that of {home}; each target needs a name of its own"
        found.append(Source(name, path, "" if home is path else twice))
    return tuple(found) or (NO_SOURCE,)


@dataclass(frozen=True)
class Record:
    """One check asked of one target: its findings, or the message of its crash."""

    check: str
    target: Mapping[str, Any]
    environment: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()
    error: str = ""

    def to_text(self) -> str:
        """The record as JSON text; `from_text` is its inverse.

        Raises:
            TypeError, ValueError: the evidence of a finding holds something that JSON cannot.
        """
        findings = [finding.to_json() for finding in self.findings]
        return json.dumps({**vars(self), "findings": findings}, allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> Record:
        """A record from the text that `to_text` gave."""
        data = json.loads(text)
        return cls(**{**data, "findings": tuple(Finding.from_json(item) for item in data["findings"])})


@dataclass
class Session:
    """One process's share of a run: its targets, each loaded once and freed after its last test."""

    settings: Settings
    waiting: Counter[Source] = field(default_factory=Counter)
    _found: dict[tuple[Path, ...], tuple[Source, ...]] = field(default_factory=dict)
    _loaded: dict[Source, AuditTarget] = field(default_factory=dict)
    _described: WeakKeyDictionary[AuditTarget, tuple[dict[str, Any], dict[str, Any]]] = field(
        default_factory=WeakKeyDictionary
    )

    def sources(self, paths: tuple[Path, ...]) -> tuple[Source, ...]:
        """`sources` of these files, each read once."""
        if paths not in self._found:
            self._found[paths] = sources(paths)
        return self._found[paths]

    def load(self) -> list[str]:
        """Load the targets that tests wait for; gives what is wrong with those that cannot be loaded."""
        problems = []
        for source in self.waiting:
            try:
                self.target(source)
            except AuditError as error:
                problems.append(str(error))
            except (Exception, SystemExit) as error:  # a user's own code may raise anything while it builds a model
                problems.append(f"{source.path}: loading failed: {one_line(error)}")
        return problems

    def target(self, source: Source) -> AuditTarget:
        """The target of an audit file."""
        from cnnaudit.target.config import load_target

        if source.path is None:
            raise AuditError(source.problem)
        if source not in self._loaded:
            self._loaded[source] = load_target(source.path)
        return self._loaded[source]

    def finished(self, source: Source) -> None:
        """A test of this target is over."""
        self.waiting[source] -= 1
        if not self.waiting[source]:
            self._loaded.pop(source, None)

    def ask(self, check: Check, target: AuditTarget) -> tuple[Finding, ...]:
        """The findings of one check on a target, each with the reason of the expectation that covers it.

        Raises:
            AuditError: the check gave no finding at all.
        """
        from cnnaudit.checks import run_check

        found = run_check(check, target, seed=self.settings.seed, profile=self.settings.profile)
        if not found:
            raise AuditError("the check gave no finding; it must give at least one, `not_applicable` with a reason")
        return tuple(expect(found, target.expected, self.settings.today))

    def judge(self, findings: Sequence[Finding], target: AuditTarget) -> list[Outcome]:
        """The outcomes of one check's findings, worst first."""
        return outcomes(findings, target.expected, self.settings.today, self.settings.strict)

    def record(self, check: Check, target: AuditTarget, findings: Sequence[Finding] = (), error: str = "") -> Record:
        """The record of a check that was asked of a target."""
        from cnnaudit.report import describe, environment

        if target not in self._described:
            run = self.settings
            about = environment(run.profile, run.seed, target.device, strict=run.strict, time=run.started)
            self._described[target] = describe(target), about
        return Record(check.id, *self._described[target], tuple(findings), error)


def message(found: Sequence[Outcome]) -> str:
    """What a test says: its worst outcomes in full, the others by name. The first line stands alone."""
    worst = [outcome for outcome in found if outcome.kind == found[0].kind]
    told = worst if found[0].kind in ("failed", "inconclusive") else worst[:1]
    lines = [line for outcome in told for line in _told(outcome)]
    others = [outcome for outcome in found if all(outcome.finding is not shown.finding for shown in told)]
    return "\n".join([*lines, *([f"Also: {_names(others)}"] if others else [])])


def _told(outcome: Outcome) -> list[str]:
    """One outcome in a few lines: the fact, its number against the tolerance, what to do."""
    from cnnaudit.report.words import judgement, would_decide

    finding = outcome.finding
    if finding is None or outcome.kind not in ("failed", "inconclusive"):
        return [outcome.message]
    lines = [outcome.message, f"  {finding.check}: {judgement(finding)}"]
    if finding.verdict == "inconclusive":
        lines.append(f"  {would_decide(finding)}")
    if finding.verdict == "fail" and finding.remedy:
        lines.append(f"  What to do: {finding.remedy}")
    return lines


def _names(found: Sequence[Outcome], most: int = 8) -> str:
    """Outcomes by name and kind, such as `padding.border_response[conv1] passed`."""
    named = [f"{outcome.finding.check} {outcome.kind}" for outcome in found if outcome.finding is not None]
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def numbers(finding: Finding) -> str:
    """A finding's numbers without its evidence, as JSON for a property of a test report."""
    keys = ("verdict", "statistic", "interval", "tolerance", "direction", "unit", "p_value", "n")
    values = finding.to_json()
    return json.dumps({key: values[key] for key in keys if values[key] is not None})


@dataclass
class Results:
    """What the tests of a run found, gathered in the process that reports it."""

    _records: dict[str, dict[str, Record]] = field(default_factory=dict)

    def add(self, found: Record) -> None:
        """Keep a record; a check that is asked again replaces its earlier answer."""
        self._records.setdefault(found.target["name"], {})[found.check] = found

    def reports(self, complete: bool) -> list[Report]:
        """One report per target, in the order of their names."""
        if not self._records:
            return []
        from cnnaudit.report import Report

        made = []
        for _, records in sorted(self._records.items()):
            first = next(iter(records.values()))
            findings = tuple(finding for record in records.values() for finding in record.findings)
            errors = tuple({"check": r.check, "message": r.error} for r in records.values() if r.error)
            made.append(Report(first.target, first.environment, findings, errors, complete))
        return made


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
