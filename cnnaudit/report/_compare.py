"""What changed between two reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cnnaudit.core.findings import Finding
from cnnaudit.report.flips import LISTED, Flips, flips
from cnnaudit.report.model import Report
from cnnaudit.report.terminal import paragraph, render
from cnnaudit.report.words import LOOKS, between, listed, measured, number, plural, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cnnaudit.comparison/1"
Direction = Literal["worse", "better", "neither"]
Kind = Literal["new", "gone", "changed", "crashed"]
#: A number moved where it did by more than this part of its tolerance, and of itself: less is rounding.
OF_TOLERANCE, OF_ITSELF = 0.01, 1e-6

_ORDER = {"not_applicable": 0, "pass": 1, "inconclusive": 2, "fail": 3}
_WORDS = {"fail": "fails", "pass": "passes", "inconclusive": "is inconclusive", "not_applicable": "does not apply"}


@dataclass(frozen=True)
class Change:
    """One check that changed: `before` or `after` is None where that report does not have it.

    Attributes:
        kind: `new` or `gone` findings, `changed` ones, and checks that newly `crashed`.
        direction: `worse`, `better`, or `neither` where the two cannot be ranked.
        breaks: whether it fails a run that passed before: a gate that newly fails unexpectedly, or a new crash.
        reason: what changed, in one sentence.
    """

    check: str
    kind: Kind
    direction: Direction
    breaks: bool
    reason: str
    before: Finding | None = None
    after: Finding | None = None

    def to_json(self) -> dict[str, Any]:
        """The change as JSON values, the findings without their evidence."""
        return {
            "check": self.check,
            "kind": self.kind,
            "direction": self.direction,
            "breaks": self.breaks,
            "reason": self.reason,
            "before": _brief(self.before),
            "after": _brief(self.after),
        }


@dataclass(frozen=True)
class Comparison:
    """What changed from an older report to a newer one.

    Attributes:
        changes: worse ones first.
        same: how many findings did not change.
        flips: what became wrong among the images that both reports hold, or why that cannot be told.
        remarks: what else differs and may explain a change: target, versions, profile, seed.
        warnings: why the two cannot be compared in full: an incomplete report, checks that the newer one lost.
    """

    before: Report
    after: Report
    changes: tuple[Change, ...]
    same: int
    flips: Flips | str
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """1 where something got worse or there is a warning, else 0.

        Worse: a gate newly fails, a check newly crashes, or more images became wrong than the newer file claims. A
        warning: either report is incomplete, or the newer one lost checks.
        """
        worse = any(change.breaks for change in self.changes) or (isinstance(self.flips, Flips) and self.flips.breaks)
        return int(worse or bool(self.warnings))

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {
            "schema": SCHEMA,
            "before": self.before.name,
            "after": self.after.name,
            "exit_status": self.exit_status,
            "changes": [change.to_json() for change in self.changes],
            "same": self.same,
            "flips": {"missing": self.flips} if isinstance(self.flips, str) else self.flips.to_json(),
            "remarks": list(self.remarks),
            "warnings": list(self.warnings),
        }

    def text(self, width: int = 80, color: bool = False) -> str:
        """The comparison for a terminal, worse first, no line wider than `width`."""
        return render(list(_paragraphs(self)), width, color)


def compare(a: Report, b: Report) -> Comparison:
    """What changed from report `a` (older) to report `b` (newer).

    A finding changed where its verdict or its expectation did, or where its statistic moved: each of the two lies
    outside the other's interval, and they differ by more than a hundredth of the tolerance (and a millionth of
    themselves), which exact numbers do by rounding. Where both reports hold predictions, those of the same images are
    compared (`flips`).

    Example:
        >>> good = Finding("a.b", "demo", "pass", "Well.", gate=True, statistic=0.0)
        >>> bad = Finding("a.b", "demo", "fail", "Ill.", gate=True, statistic=0.9)
        >>> old, new = Report({"name": "demo"}, findings=(good,)), Report({"name": "demo"}, findings=(bad,))
        >>> compare(old, new).exit_status, compare(new, old).exit_status
        (1, 0)
    """
    older, newer = ({finding.check: finding for finding in report.findings} for report in (a, b))
    crashed = {error["check"] for error in a.errors}
    changes = [
        Change(error["check"], "crashed", "worse", True, f"crashed: {error['message']}")
        for error in b.errors
        if error["check"] not in crashed
    ]
    for check in sorted(older.keys() | newer.keys()):
        change = _change(check, older.get(check), newer.get(check))
        if change is not None:
            changes.append(change)
    order = ("worse", "neither", "better")
    changes.sort(key=lambda change: (not change.breaks, order.index(change.direction), change.check))
    same = len(older.keys() & newer.keys()) - sum(change.kind == "changed" for change in changes)
    return Comparison(a, b, tuple(changes), same, flips(a, b), tuple(_remarks(a, b)), tuple(_warnings(a, b)))


def _change(check: str, before: Finding | None, after: Finding | None) -> Change | None:
    """How one check changed, None where it did not."""
    if before is None and after is not None:
        direction: Direction = "worse" if after.verdict == "fail" else "neither"
        return Change(check, "new", direction, _fails(after), f"new: {_says(after)}", None, after)
    if after is None and before is not None:
        return Change(check, "gone", "neither", False, f"gone: it {_WORDS[before.verdict]} before", before, None)
    assert before is not None and after is not None
    breaks = _fails(after)  # what failed before and still does is no change of verdict or expectation
    if before.verdict != after.verdict:
        asked = "not_applicable" not in (before.verdict, after.verdict)
        worse = _ORDER[after.verdict] > _ORDER[before.verdict]
        direction = ("worse" if worse else "better") if asked else ("worse" if breaks else "neither")
        reason = f"{_says(after)}, before it {_WORDS[before.verdict]}{_number(before)}"
        return Change(check, "changed", direction, breaks, reason, before, after)
    if _unexpected(before) != _unexpected(after) and after.verdict == "fail":
        state = "fails the run now" if breaks else "fails, but no longer fails the run"
        return Change(
            check, "changed", "worse" if breaks else "better", breaks, f"{state}{_number(after)}", before, after
        )
    if _moved(before, after):
        reason = f"still {_WORDS[after.verdict]}: {measured(before)} became {measured(after)}"
        return Change(check, "changed", "worse" if _rose(before, after) else "better", False, reason, before, after)
    return None


def _fails(finding: Finding) -> bool:
    """Whether the finding fails a run: a gate that fails and is not expected to."""
    return finding.verdict == "fail" and _unexpected(finding)


def _unexpected(finding: Finding) -> bool:
    """Whether a failure of this finding would fail the run."""
    return finding.gate and finding.expected is None


def _moved(before: Finding, after: Finding) -> bool:
    """Whether each statistic lies outside the other's interval, by more than rounding."""
    if before.statistic is None or after.statistic is None:
        return False
    bounds = [abs(value) for value in (before.tolerance, after.tolerance) if value is not None]
    size = max(abs(before.statistic), abs(after.statistic))
    if abs(after.statistic - before.statistic) <= max(OF_TOLERANCE * max(bounds, default=0.0), OF_ITSELF * size):
        return False
    low, high = before.interval or (before.statistic, before.statistic)
    low_after, high_after = after.interval or (after.statistic, after.statistic)
    return not low <= after.statistic <= high and not low_after <= before.statistic <= high_after


def _rose(before: Finding, after: Finding) -> bool:
    """Whether the statistic moved to the bad side."""
    assert before.statistic is not None and after.statistic is not None
    return (after.statistic > before.statistic) == (after.direction == "at_most")


def _says(finding: Finding) -> str:
    """The verdict with its number."""
    return f"{_WORDS[finding.verdict]}{_number(finding)}"


def _number(finding: Finding) -> str:
    """The number after a colon-free verb, nothing where there is none."""
    if finding.statistic is None:
        return ""
    return f" at {measured(finding)}" if between(finding) else f" at exactly {measured(finding)}"


def _brief(finding: Finding | None) -> dict[str, Any] | None:
    """The numbers of a finding."""
    if finding is None:
        return None
    names = ("verdict", "gate", "expected", "statistic", "unit", "tolerance", "direction", "n", "summary")
    values = {name: getattr(finding, name) for name in names}
    return {**values, "interval": list(finding.interval) if finding.interval else None}


def _remarks(a: Report, b: Report) -> Iterator[str]:
    """What differs beside the findings."""
    if a.name != b.name:
        yield f"The targets differ: {a.name}, then {b.name}."
    keys = sorted((a.environment.keys() | b.environment.keys()) - {"time"})
    pairs = [(key, a.environment.get(key), b.environment.get(key)) for key in keys]
    differing = [f"{key} {_value(old)} became {_value(new)}" for key, old, new in pairs if old != new]
    if differing:
        yield f"The runs differ: {listed(differing)}."


def _warnings(a: Report, b: Report) -> Iterator[str]:
    """Why the comparison says less than it seems to."""
    for label, report in (("older", a), ("newer", b)):
        if not report.complete:
            missing = (report.completeness or {}).get("missing", ())
            named = f" ({_listed(missing)})" if missing else ""
            yield f"The {label} report is incomplete: its run did not finish, checks are missing{named}."
    lost = sorted(_asked(a) - _asked(b))
    if lost:
        yield f"The newer report lost {plural(len(lost), 'check')} that the older one has: {_listed(lost)}."


def _asked(report: Report) -> set[str]:
    """The checks that a report has an answer or a crash of, without their parts."""
    checks = [finding.check for finding in report.findings] + [error["check"] for error in report.errors]
    return {check.partition("[")[0] for check in checks}


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _value(value: object) -> str:
    """A setting as text."""
    return "(absent)" if value is None else str(value)


def _paragraphs(comparison: Comparison) -> Iterator[RenderableType]:
    """The comparison as paragraphs."""
    from rich.text import Text

    changes = comparison.changes
    found = [(word, sum(change.direction == word for change in changes)) for word in ("worse", "better", "neither")]
    tally = [f"{n} {'changed otherwise' if word == 'neither' else word}" for word, n in found if n]
    name = comparison.after.name
    yield paragraph(f"{name}: {listed([*tally, f'{comparison.same} unchanged'])}", style="bold")
    for warning in comparison.warnings:
        yield paragraph(f"{LOOKS['crashed'].icon} {warning}", style="bold red")
    for remark in comparison.remarks:
        yield paragraph(remark, style="dim")
    styles = {"worse": "red", "better": "green", "neither": "yellow"}
    words = {"worse": "↓ worse", "better": "↑ better", "neither": "· other"}
    for change in changes:
        head = words[change.direction] + (", fails the run" if change.breaks else "")
        yield Text.assemble((head, styles[change.direction]), f"  {printable(change.check)}")
        yield paragraph(change.reason, 4)
    if not changes:
        yield paragraph(f"{LOOKS['passed'].icon} {plural(comparison.same, 'finding')} unchanged", style="green")
    yield from _flipped(comparison.flips)


def _flipped(found: Flips | str) -> Iterator[RenderableType]:
    """What became wrong, image by image."""
    if isinstance(found, str):
        yield paragraph(f"Predictions are not compared: {found}.", style="dim")
        return
    above = f" The file claims at most {number(found.claim, 'share')}." if found.claim is not None else ""
    yield paragraph(f"{found.sentence}{above}", style="red" if found.breaks else "")
    for one in found.flipped[:LISTED]:
        sure = f"{number(one.before, 'share')} sure before, {number(one.now, 'share')} now"
        yield paragraph(f"{one.image}: {one.class_name}, now {one.answer} ({sure})", 4)
    if len(found.flipped) > LISTED:
        yield paragraph(f"and {len(found.flipped) - LISTED:,} more; --json lists all", 4)
