"""From a search of cues with a place or a pattern to a finding: there, and used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    from cnnaudit.checks import CheckContext
    from cnnaudit.cues import Found, Search

SHOWN = 10


@dataclass(frozen=True)
class Judged:
    """The use of one class's pattern, counted as zero where the class's constancy lies inside its tolerance.

    Attributes:
        class_index: the class.
        value, low, high: of the larger of gain and loss; each zero where the constancy, its lower or its upper bound is
            within the tolerance: a class fails only where both are beyond their own (intersection-union).
        found: what the search found.
    """

    class_index: int
    value: float
    low: float
    high: float
    found: Found


def judge_use(found: Found, tolerance: float) -> Judged:
    """The use of a class's pattern under a tolerance of constancy."""
    value, low, high = found.use
    there = found.constancy
    return Judged(
        found.class_index,
        value if there.value > tolerance else 0.0,
        low if there.low > tolerance else min(low, 0.0),
        max(high, 0.0) if there.high > tolerance else 0.0,
        found,
    )


def finding(
    context: CheckContext,
    search: Search,
    tolerance: float,
    what: str,
    hints: Mapping[int, str],
    shown: Sequence[Evidence],
) -> Finding:
    """The finding of a search: the class whose pattern is used most.

    Args:
        tolerance: of constancy.
        what: the noun of the cue, such as `pattern`.
        hints: a sentence for each class that was searched.
        shown: evidence beside the table of classes.
    """
    names = context.target.classes
    judged = sorted(
        (judge_use(of, tolerance) for of in search.found.values()),
        key=lambda of: (of.low > context.tolerance, of.value, of.found.constancy.value),
        reverse=True,
    )
    value, low, high = (max((getattr(of, key) for of in judged), default=0.0) for key in ("value", "low", "high"))
    if search.not_judged:
        high = 1.0
    value = min(max(value, low), high)
    failed = [of for of in judged if of.low > context.tolerance]
    left_out = _left_out(search.not_judged, names)
    worst = judged[0] if judged else None
    if failed:
        summary = hints[failed[0].class_index]
        if len(failed) > 1:
            summary += f" {len(failed) - 1} more classes have a {what} that is there and used."
    elif worst is None:
        summary = f"No class was judged: {left_out}."
    elif worst.found.note:
        summary = f"The {what} of class '{names[worst.class_index]}' is {worst.found.note}."
    elif worst.found.cue is None:
        summary = (
            f"No class has a {what} of its own: class '{names[worst.class_index]}' is the most constant, "
            f"{worst.found.constancy.value:.2f} (tolerance {tolerance:.2f})."
        )
    else:
        summary = hints[worst.class_index]
    if worst is not None and left_out and not failed:
        summary += f" Not judged: {left_out}."
    return context.judge(
        value,
        (low, high),
        n=sum(len(part) for part in (*search.halves.search, *search.halves.confirm)),
        summary=summary,
        locations=[
            Location(of.value, class_name=names[of.class_index])
            for of in judged[:SHOWN]
            if of is worst or of.low > context.tolerance
        ],
        evidence=[*shown, _table(search, judged, names, tolerance, context.tolerance)],
    )


def _left_out(reasons: Mapping[int, str], names: Sequence[str]) -> str:
    """Which classes were not judged, and why."""
    listed = [f"class '{names[k]}' ({why})" for k, why in sorted(reasons.items())[:3]]
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return ", ".join(listed) + more


def _table(search: Search, judged: Sequence[Judged], names: Sequence[str], tolerance: float, used: float) -> Evidence:
    """There and used, by class."""
    rows: list[list[object]] = []
    for of in judged:
        there, found = of.found.constancy, of.found
        verdict = (found.note or "cleared by constancy") if found.cue is None else "there"
        if found.cue is not None:
            verdict = "there and used" if of.low > used else "not used" if of.high <= used else "undecided"
        effects = [None if e is None else round(e.value, 3) for e in (found.effect, found.removed)]
        shares = [round(share, 3) for share in (there.share, there.elsewhere, there.value)]
        rows.append([names[of.class_index], *shares, *effects, verdict])
    rows += [[names[k], None, None, None, None, None, f"not judged: {why}"] for k, why in search.not_judged.items()]
    title = f"There and used, by class (tolerances: constancy {tolerance:.2f}, use {used:.2f})"
    columns = ["class", "images with it", "most of another class", "constancy", "gain", "loss", "verdict"]
    return evidence.table(title, columns, rows)
