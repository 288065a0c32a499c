"""How findings are put into words, the same in every format."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.expectations import Kind
from cnnaudit.core.findings import Finding
from cnnaudit.core.profiles import PROFILES

if TYPE_CHECKING:
    from cnnaudit.checks import Check

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
        return f"Undecided after {seen}; it takes more images, or a larger profile."
    if larger := larger_profile(finding):
        return f"Undecided after {seen}; the {finding.profile} profile stops there. Run with --profile {larger}."
    if unit == "images" and finding.profile in PROFILES:
        return f"Undecided after {seen}; no profile looks at more."
    return f"About {needed:,} {unit} would decide; this run had {finding.n:,}."


def larger_profile(finding: Finding) -> str:
    """The smallest profile above the finding's that looks at the images it needs; empty where there is none."""
    needed, names = finding.needed_n, list(PROFILES)
    if needed is None or finding.n_unit != "images" or finding.profile not in names:
        return ""
    larger = names[names.index(finding.profile) + 1 :]
    return next((name for name in larger if needed <= (PROFILES[name].images or needed)), "")


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
