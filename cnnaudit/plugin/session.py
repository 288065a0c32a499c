"""What a test run needs of an audit, without pytest: targets, one check asked and recorded, what its test says."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from cnnaudit.core.errors import AuditError
from cnnaudit.core.expectations import Outcome, expect, outcomes
from cnnaudit.core.findings import Finding
from cnnaudit.core.records import Record, Selected
from cnnaudit.core.wording import one_line

if TYPE_CHECKING:
    from cnnaudit.checks import Check
    from cnnaudit.target import AuditTarget


@dataclass(frozen=True)
class Settings:
    """What a run asks for.

    Attributes:
        started: the ISO time of its start, which dates its expectations and reports.
        run: its id, the same in all its processes.
        folder: where its reports go.
    """

    started: str
    run: str = ""
    folder: Path = Path("reports")
    profile: str = "quick"
    seed: int = 0
    strict: bool = False

    @property
    def today(self) -> datetime.date:
        """The day of the run."""
        return datetime.datetime.fromisoformat(self.started).date()


@dataclass(frozen=True)
class Source:
    """An audit file as it was found at collection: the name of its target, or what is wrong with the file.

    Attributes:
        check_modules: the modules of somebody else's checks that it names.
    """

    name: str
    path: Path | None = None
    problem: str = ""
    check_modules: tuple[str, ...] = ()

    def other_checks(self) -> list[Check]:
        """The checks of the modules that the file names."""
        from cnnaudit.checks import catalogue

        if self.path is None or not self.check_modules:
            return []
        ours = catalogue()
        found = catalogue(self.check_modules, self.path.parent.resolve())
        return [check for id, check in found.items() if id not in ours]


NO_SOURCE = Source(
    "no-target",
    problem="no target to audit: name an audit file with --audit-config audit.toml "
    "(`cnnaudit init` writes one for a model and a folder of images)",
)


def sources(paths: Iterable[Path]) -> tuple[Source, ...]:
    """The audit files, read without loading a model; two targets of one name are a problem of the second.

    Without any file: the one source `NO_SOURCE`, so that a test that needs a target cannot pass unnoticed.
    """
    from cnnaudit.checks.audit_file import read

    found: list[Source] = []
    homes: dict[str, Path] = {}
    for path in {path.resolve(): path for path in paths}.values():
        try:
            file = read(path)
        except AuditError as error:
            found.append(Source(path.stem, path, str(error)))
            continue
        name = file.name
        home = homes.setdefault(name, path)
        twice = f"{path}: model.name = {name!r} is also that of {home}; each target needs a name of its own"
        found.append(Source(name, path, "" if home is path else twice, file.check_modules))
    return tuple(found) or (NO_SOURCE,)


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
    _predicted: WeakSet[AuditTarget] = field(default_factory=WeakSet)

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
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a user's own code may raise anything while it builds a model
                problems.append(f"{source.path}: loading failed: {one_line(error)}")
        return problems

    def target(self, source: Source) -> AuditTarget:
        """The target of an audit file."""
        from cnnaudit.checks.audit_file import load_target

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

    def begin(self, tests: Mapping[Source, Sequence[Selected]]) -> list[str]:
        """Start the journals of the targets; until they are whole, their reports say that the run is unfinished.

        Returns:
            What cannot be written.
        """
        problems = []
        for source, selected in tests.items():
            try:
                self._begin(self.target(source), tuple(selected))
            except AuditError as error:
                problems.append(str(error))
        return problems

    def _begin(self, target: AuditTarget, selected: tuple[Selected, ...] | None) -> Path:
        """Start the journal of a target unless this run has one, and give its folder.

        Raises:
            AuditError: the folder cannot be written.
        """
        from cnnaudit.report import folder_name, write_report
        from cnnaudit.report.journal import Journal, begin

        folder = self.settings.folder / folder_name(target.name)
        journal = Journal(self.settings.run, *self._about(target), selected)
        try:
            if begin(folder, journal):
                write_report(journal.report(), folder)
        except ValueError as error:
            raise AuditError(f"{target.name}: no report can describe this target: {error}") from None
        except OSError as error:
            raise AuditError(
                f"{folder}: the report cannot be written ({error.strerror or error}). "
                "Free space or choose another folder with --audit-report"
            ) from None
        return folder

    def record(
        self, check: Check, target: AuditTarget, test: str, findings: Sequence[Finding] = (), **fields: Any
    ) -> Record:
        """The record of a check that was asked of a target, or left out of it; it is in the journal from now on.

        A journal that cannot be written (the disk is full) loses nothing: the report has the record too.

        Raises:
            TypeError, ValueError: a finding holds what no report can, such as evidence of an unknown kind.
        """
        from cnnaudit.report.journal import append, line

        section = self._predictions(target, failed=bool(fields.get("error")))
        found = Record(check.id, *self._about(target), test, tuple(findings), predictions=section, **fields)
        written = line(found)
        with contextlib.suppress(OSError, AuditError):
            append(self._begin(target, None), written)
        return found

    def _predictions(self, target: AuditTarget, failed: bool) -> dict[str, Any] | None:
        """What the model says of the sample, once per target: when a check has asked for it, or could not."""
        from cnnaudit.core.profiles import PROFILES
        from cnnaudit.report.predictions import predictions, sample_split

        size, seed = PROFILES[self.settings.profile].images, self.settings.seed
        asked = target.predicted(sample_split(target), size, seed)
        if target in self._predicted or not (asked or failed):
            return None
        self._predicted.add(target)
        try:
            return predictions(target, size, seed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a user's model or image raises, the record is made
            return {"missing": str(error) if isinstance(error, AuditError) else one_line(error)}

    def _about(self, target: AuditTarget) -> tuple[dict[str, Any], dict[str, Any]]:
        """The target and the environment in words."""
        from cnnaudit.report import describe, environment

        if target not in self._described:
            run = self.settings
            about = environment(run.profile, run.seed, target.device, strict=run.strict, time=run.started)
            self._described[target] = describe(target), about
        return self._described[target]


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
    lines = [f"Hint: {finding.hint}"] if finding.hint else []
    lines += [outcome.message, f"  {finding.check}: {judgement(finding)}"]
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
