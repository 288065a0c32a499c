"""How findings are put into words, the same in every format."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.expectations import SEVERITY, Kind
from cnnaudit.core.findings import Finding
from cnnaudit.core.profiles import PROFILES

if TYPE_CHECKING:
    from cnnaudit.checks import Check
    from cnnaudit.report.model import Report

Status = Kind | Literal["crashed"]


@dataclass(frozen=True, slots=True)
class Look:
    """How an outcome is shown: never by color alone."""

    icon: str
    word: str
    style: str


LOOKS: dict[Status, Look] = {
    "crashed": Look("!", "crashed", "bold red"),
    "failed": Look("✗", "failed", "bold red"),
    "inconclusive": Look("?", "inconclusive", "bold yellow"),
    "expected": Look("≈", "expected", "cyan"),
    "trait": Look("◆", "trait", "magenta"),
    "passed": Look("✓", "passed", "green"),
    "skipped": Look("–", "not applicable", "dim"),
}


HINT = "Hint:"
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
    found = _bad(report)
    return next((kind for kind in _BAD if kind in found), "passed" if report.complete else "inconclusive")


def _bad(report: Report) -> dict[Status, int]:
    """The counts of what a person must look at; undecided traits are not among it."""
    found = counts(report)
    found["inconclusive"] = found.get("inconclusive", 0) - undecided_traits(report)
    return {kind: found[kind] for kind in _BAD if found.get(kind)}


def undecided_traits(report: Report) -> int:
    """How many traits could not be told."""
    return sum(entry.undecided_trait for entry in entries(report))


def worst_first(reports: Sequence[Report]) -> list[Report]:
    """The reports in the order in which a person should read them."""
    return sorted(reports, key=lambda report: (list(LOOKS).index(status(report)), printable(report.name)))


def overall(reports: Sequence[Report]) -> str:
    """The verdict over several reports in one line."""
    failing = sum(status(report) in ("failed", "crashed") for report in reports)
    return f"{plural(len(reports), 'target')} audited, {failing or 'none'} failing"


def headline(report: Report) -> str:
    """The verdict of a report in one sentence.

    Example:
        >>> from cnnaudit.report import Report
        >>> headline(Report({"name": "demo"}, findings=(Finding("a.b", "demo", "pass", "Well.", statistic=0.0),)))
        'Nothing failed: 1 of 1 check passed.'
    """
    found = counts(report)
    asked = len(report.findings) + len(report.errors) - found.get("skipped", 0)
    if not asked:
        return f"Nothing was audited.{_ignored(report)}" if report.complete else _unfinished(report)
    if bad := _bad(report):
        parts = [f"{bad[kind]} {LOOKS[kind].word}" for kind in ("failed", "crashed") if kind in bad]
        if "inconclusive" in bad:
            parts.append(f"{bad['inconclusive']} {'is' if bad['inconclusive'] == 1 else 'are'} inconclusive")
        text = f"Of {plural(asked, 'check')}, {listed(parts)}."
    else:
        text = f"Nothing failed: {found.get('passed', 0)} of {plural(asked, 'check')} passed{_noted(report)}."
    return text if report.complete else f"{text} {_unfinished(report)}"


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


def _noted(report: Report) -> str:
    """The findings beside the passes that fail nothing."""
    found, undecided = counts(report), undecided_traits(report)
    parts = []
    if "expected" in found:
        parts.append(plural(found["expected"], "expected failure"))
    if "trait" in found:
        parts.append(plural(found["trait"], "trait"))
    if undecided:
        parts.append(plural(undecided, "undecided trait"))
    return f"; {listed(parts)} noted" if parts else ""


def number(value: float, unit: str = "") -> str:
    """A number with three significant digits, a share as a percentage, thousands apart; the unit is not repeated.

    Example:
        >>> number(0.0234, "share of images"), number(12345.0), number(0.5), number(0.00002)
        ('2.34%', '12,345', '0.5', '2e-05')
    """
    if not is_share(unit):
        return _digits(value)
    nearly_all = 0.9995 <= value < 1
    return f"{100 * value:.5g}%" if nearly_all else f"{_digits(100 * value)}%"


def is_share(unit: str) -> bool:
    """Whether the unit is a share of something, which people read best as a percentage."""
    return unit.partition(" ")[0] in ("share", "fraction")


def _digits(value: float) -> str:
    """Three significant digits, no exponent between 0.0001 and a trillion."""
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tolerance(finding: Finding) -> str:
    """The tolerance in words, such as `at most 2%`."""
    if finding.tolerance is None:
        return "no tolerance"
    side = "at most" if finding.direction == "at_most" else "at least"
    return f"{side} {number(finding.tolerance, finding.unit)}"


def measured(finding: Finding) -> str:
    """The number with its interval, such as `19% (15% to 24%)`."""
    if finding.statistic is None:
        return "not measured"
    text = quantity(finding.statistic, finding.unit)
    explained = [part for part in (between(finding), explanation(finding.unit)) if part]
    return f"{text} ({'; '.join(explained)})" if explained else text


def quantity(value: float, unit: str) -> str:
    """The number with its unit where that is a noun, such as `5 layers`, `19%` or `0.7`."""
    return f"{number(value, unit)} {noun(unit)}".rstrip()


def noun(unit: str) -> str:
    """The unit where it can follow a number; a share is a percentage already, a ratio has none."""
    return "" if is_share(unit) or unit == "ratio" or explanation(unit) else unit


def explanation(unit: str) -> str:
    """The unit where it explains the ends of a scale, such as `0: chance, 1: perfect`."""
    return unit if ":" in unit else ""


def between(finding: Finding) -> str:
    """The interval in words, empty where the number is exact."""
    if finding.interval is None or finding.interval[0] == finding.interval[1]:
        return ""
    low, high = (number(bound, finding.unit) for bound in finding.interval)
    return f"{low} to {high}"


def basis(finding: Finding) -> str:
    """What the number rests on: how many observations, which confidence, which p-value."""
    unit = finding.n_unit[:-1] if finding.n == 1 and finding.n_unit.endswith("s") else finding.n_unit
    parts = [f"{finding.n:,} {unit}"] if finding.n else []
    if finding.confidence is None:
        parts += ["exact"] if finding.statistic is not None else []
    elif between(finding):
        parts.append(f"{100 * finding.confidence:.4g}% interval")
    if finding.p_value is not None:
        parts.append(p_value(finding.p_value))
    return ", ".join(parts)


def judgement(finding: Finding) -> str:
    """The number against the tolerance in one sentence, with what it rests on."""
    grounds = f" [{basis(finding)}]" if basis(finding) else ""
    return f"Measured {measured(finding)}, tolerated {tolerance(finding)}{grounds}."


def verdicts(found: Mapping[str, int]) -> str:
    """Counted verdicts in words, such as `39 passed, 1 inconclusive`."""
    words = {"pass": "passed", "inconclusive": "inconclusive", "fail": "failed", "not_applicable": "not applicable"}
    return ", ".join(f"{found[key]} {word}" for key, word in words.items() if found.get(key))


def p_value(p: float) -> str:
    """A p-value, such as `p = 0.03` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def would_decide(finding: Finding) -> str:
    """What would decide an inconclusive finding, in one sentence: never more images than the target has."""
    seen, unit, needed = f"{finding.n:,} {finding.n_unit}", finding.n_unit, finding.needed_n
    if needed is None and (unit != "images" or finding.statistic == finding.tolerance):
        return f"It lies on the tolerance: more {unit} need not decide."
    if needed is None:
        return f"Undecided after {seen}; the target does not have enough images to decide it."
    larger = _larger_profile(finding.profile, needed) if unit == "images" else None
    if larger is None:
        return f"About {needed:,} {unit} would decide; this run had {finding.n:,}."
    return f"Undecided after {seen}; the {finding.profile} profile stops there. Run with --profile {larger}."


def _larger_profile(profile: str, needed: int) -> str | None:
    """The smallest profile above this one that looks at so many images; None where there is none."""
    names = list(PROFILES)
    larger = names[names.index(profile) + 1 :] if profile in names else []
    return next((name for name in larger if needed <= (PROFILES[name].images or needed)), None)


def question(check: str) -> str:
    """The question that a check asks, empty for an id that this version does not know."""
    known = registered(check)
    return known.question if known else ""


def registered(check: str) -> Check | None:
    """The check of that id, or None: an old report may name one that this version does not have."""
    from cnnaudit.checks import known_checks

    return known_checks().get(check.partition("[")[0])


def plural(n: int, noun: str) -> str:
    """A count with its noun, such as `1 check` or `3 checks`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def listed(parts: list[str]) -> str:
    """Parts joined as in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def printable(text: object) -> str:
    """Text on one line; control characters become `?`, invisible marks (direction of writing, zero width) are dropped.

    Example:
        >>> printable("a\\nb\\x1b[31m\\u202ec")
        'a b?[31mc'
    """
    spaced = " ".join(str(text).split())
    shown = {"Cc": "?", "Cs": "?", "Co": "?", "Cf": ""}
    return "".join(shown.get(unicodedata.category(c), c) for c in spaced)
