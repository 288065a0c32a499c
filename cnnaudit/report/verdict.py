"""The verdict of a report: what a person reads first, the same in every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cnnaudit.core.expectations import SEVERITY, Kind
from cnnaudit.core.findings import Finding
from cnnaudit.core.profiles import PROFILES
from cnnaudit.report.model import Report
from cnnaudit.report.words import LOOKS, Status, judgement, larger_profile, listed, plural, printable, would_decide

MOST_MISSING = 5
_BAD: tuple[Status, ...] = ("failed", "crashed", "inconclusive")


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding with what became of it; `note` says why an expectation no longer describes it."""

    kind: Kind
    finding: Finding
    note: str = ""

    @property
    def undecided_trait(self) -> bool:
        """Whether it describes the model and could not be told: of little moment, and often one for each method."""
        return self.kind == "inconclusive" and not self.finding.gate


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed and what to do about it.

    Attributes:
        kind: `failed`, or `crashed` for checks that one and the same error stopped.
        checks: one id, or those of all the checks that crashed for this reason.
        problem: the fact in a sentence.
        number: what was measured against what is tolerated; empty where nothing was.
        hint: the cause on this target, where the check found it out.
        action: the first step of the check's remedy, or what would decide where a strict run fails what is undecided.
    """

    kind: Status
    checks: tuple[str, ...]
    problem: str
    number: str = ""
    hint: str = ""
    action: str = ""

    @property
    def title(self) -> str:
        """The id of the check, or how many they are."""
        return self.checks[0] if len(self.checks) == 1 else plural(len(self.checks), "check")


@dataclass(frozen=True, slots=True)
class Line:
    """The findings of one kind that fail nothing, in one line."""

    kind: Status
    text: str
    entries: tuple[Entry, ...]


def entries(report: Report) -> list[Entry]:
    """Every finding of the report once, worst first, then by id."""
    worst: dict[str, Entry] = {}
    for outcome in report.outcomes():
        finding = outcome.finding
        if finding is not None and finding.check not in worst:
            broken = outcome.kind == "failed" and finding.verdict in ("pass", "not_applicable")
            worst[finding.check] = Entry(outcome.kind, finding, outcome.message if broken else "")
    return sorted(worst.values(), key=lambda entry: (SEVERITY.index(entry.kind), entry.finding.check))


def counts(report: Report) -> dict[Status, int]:
    """How many findings there are of each kind, worst first, kinds without any left out."""
    found = Counter[Status](entry.kind for entry in entries(report))
    found["crashed"] = len(report.errors)
    return {kind: found[kind] for kind in LOOKS if found[kind]}


def status(report: Report) -> Status:
    """The one word of the whole report: crashed, failed, inconclusive (a gate is, or checks are missing) or passed."""
    found = {"crashed"} if report.errors else set()
    found |= {entry.kind for entry in entries(report) if not entry.undecided_trait}
    return next((kind for kind in _BAD if kind in found), "passed" if report.complete else "inconclusive")


def worst_first(reports: Sequence[Report]) -> list[Report]:
    """The reports in the order in which a person should read them."""
    return sorted(reports, key=lambda report: (list(LOOKS).index(status(report)), printable(report.name)))


def overall(reports: Sequence[Report]) -> str:
    """The verdict over several reports in one line."""
    failing = sum(status(report) in ("failed", "crashed") for report in reports)
    return f"{plural(len(reports), 'target')} audited, {failing or 'none'} failing"


def headline(report: Report) -> str:
    """The verdict of the gates in one sentence; what fails a run counts as a gate, as all does under `--strict`.

    Example:
        >>> well = Finding("a.b", "demo", "pass", "Well.", gate=True, statistic=0.0)
        >>> ill = Finding("a.c", "demo", "fail", "Ill.", gate=True, statistic=0.9)
        >>> headline(Report({"name": "demo"}, findings=(well, ill)))
        '2 gates: 1 ok, 1 failed.'
    """
    found = entries(report)
    gates = Counter(entry.kind for entry in found if _may_fail(entry))
    judged = [entry for entry in found if entry.kind != "skipped"]
    if not judged and not report.errors:
        return f"Nothing was audited.{_ignored(report)}" if report.complete else _unfinished(report)
    words = {"passed": "ok", "failed": "failed", "inconclusive": "undecided"}
    parts = [f"{gates[kind]} {word}" for kind, word in words.items() if gates[kind]]  # type: ignore[index]
    parts += [plural(gates["expected"], "expected failure")] if gates["expected"] else []
    if gates:
        text = f"{plural(sum(gates.values()), 'gate')}: {', '.join(parts)}."
    else:
        text = f"No gate among {plural(len(judged), 'finding')}: nothing could fail." if judged else ""
    crashed = f"{plural(len(report.errors), 'check')} crashed." if report.errors else ""
    return " ".join(part for part in (text, crashed, "" if report.complete else _unfinished(report)) if part)


def _may_fail(entry: Entry) -> bool:
    """Whether the finding could fail the run, or did."""
    return entry.kind == "failed" or (entry.finding.gate and entry.kind != "skipped")


def _unfinished(report: Report) -> str:
    """What is missing in an incomplete report."""
    counted = report.completeness or {}
    missing = list(counted.get("missing", ()))
    if not missing:
        return "The run was interrupted: some checks were never asked."
    named = f"{', '.join(missing[:MOST_MISSING])}{', …' if len(missing) > MOST_MISSING else ''}"
    every = len(counted.get("selected", ()))
    return f"The run did not finish: {len(missing)} of {plural(every, 'check')} not recorded ({named})."


def _ignored(report: Report) -> str:
    """Which checks the target's file leaves out, where that is all that was selected."""
    ignored = (report.completeness or {}).get("ignored", ())
    return f" checks.ignore leaves out {plural(len(ignored), 'selected check')}: all of them." if ignored else ""


def failures(report: Report) -> list[Failure]:
    """What failed, crashes first: problem, number, and what to do."""
    causes: dict[str, list[str]] = {}
    for error in report.errors:  # one unreadable image stops many checks
        causes.setdefault(error["message"], []).append(error["check"])
    found = [Failure("crashed", tuple(checks), message) for message, checks in causes.items()]
    return found + [_failure(entry) for entry in entries(report) if entry.kind == "failed"]


def _failure(entry: Entry) -> Failure:
    finding = entry.finding
    if entry.note:
        return Failure("failed", (finding.check,), entry.note)
    action = first_sentence(finding.remedy) if finding.verdict == "fail" else would_decide(finding)
    return Failure("failed", (finding.check,), finding.summary, judgement(finding), finding.hint, action)


def first_sentence(text: str) -> str:
    """The first sentence of a text.

    Example:
        >>> first_sentence("Pad evenly (e.g. by 1.5 px). Or use replicate padding.")
        'Pad evenly (e.g. by 1.5 px).'
    """
    text = printable(text)
    for place, character in enumerate(text[:-2]):
        if character in ".!?" and text[place + 1] == " " and text[place + 2].isupper():
            return text[: place + 1]
    return text


def hinted(report: Report) -> list[Entry]:
    """The findings that failed nothing and still found a cause that a person should know."""
    return [entry for entry in entries(report) if entry.finding.hint and entry.kind != "failed"]


def lines(report: Report) -> list[Line]:
    """Traits, undecided, expected and inapplicable findings, one line for each kind that there is."""
    found = entries(report)
    wordings: dict[Kind, Callable[[Sequence[Entry]], str]] = {
        "trait": lambda those: plural(len(those), "trait"),
        "inconclusive": _undecided,
        "expected": lambda those: plural(len(those), "expected failure"),
        "skipped": lambda those: f"{len(those)} not applicable",
    }
    kinds = {kind: tuple(entry for entry in found if entry.kind == kind) for kind in wordings}
    return [Line(kind, wordings[kind](those), those) for kind, those in kinds.items() if those]


def _undecided(found: Sequence[Entry]) -> str:
    """Such as `18 undecided, 2 of them gates; 16 need --profile standard`."""
    gates = sum(entry.finding.gate for entry in found)
    needs = Counter(larger_profile(entry.finding) for entry in found)
    text = f"{len(found)} undecided" + (f", {gates} of them {'a gate' if gates == 1 else 'gates'}" if gates else "")
    parts = [
        f"{needs[profile]} {'needs' if needs[profile] == 1 else 'need'} --profile {profile}"
        for profile in PROFILES
        if needs[profile]
    ]
    return f"{text}; {listed(parts)}" if parts else text


def parts_together(found: Sequence[Entry]) -> Iterator[str]:
    """The ids of findings, the parts of a check together, such as `fidelity.deletion[cam, lime]`."""
    parts: dict[str, list[str]] = {}
    for entry in found:
        parts.setdefault(entry.finding.base_check, []).append(entry.finding.part)
    for check, names in parts.items():
        yield check + (f"[{', '.join(filter(None, names))}]" if any(names) else "")
