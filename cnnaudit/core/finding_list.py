"""The findings of an audit as a list that a notebook shows as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cnnaudit.core.findings import Finding
from cnnaudit.core.notebook import table_html

if TYPE_CHECKING:
    import pandas

COLUMNS = ("check", "verdict", "gate", "statistic", "low", "high", "tolerance", "unit", "n", "summary")


class Findings(list[Finding]):
    """A list of findings; in a notebook it is a table, and `to_frame` makes it one of pandas.

    Example:
        >>> found = Findings([Finding("a.b", "demo", "pass", "All well.", statistic=0.0)])
        >>> found.to_frame()[["check", "verdict"]].values.tolist()
        [['a.b', 'pass']]
    """

    def to_frame(self) -> pandas.DataFrame:
        """One row per finding: its id, verdict, kind, number with interval and tolerance, and what it says."""
        import pandas

        return pandas.DataFrame([_row(finding) for finding in self], columns=list(COLUMNS))

    def _repr_html_(self) -> str:
        columns = ["check", "verdict", "measured", "tolerated", "what was found"]
        return table_html(columns, [_shown(finding) for finding in worst_first(self)])


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Failed gates first, then other failures, what is undecided, what passed and what is not applicable; by id."""
    verdicts = ("fail", "inconclusive", "pass", "not_applicable")
    return sorted(findings, key=lambda found: (verdicts.index(found.verdict), not found.gate, found.check))


def _row(finding: Finding) -> dict[str, Any]:
    low, high = finding.interval or (None, None)
    values = {name: getattr(finding, name) for name in COLUMNS if name not in ("low", "high")}
    return {**values, "low": low, "high": high}


def _shown(finding: Finding) -> tuple[str | None, ...]:
    verdict = finding.verdict if finding.verdict != "fail" or finding.gate else "fail (trait)"
    return finding.check, verdict, measured(finding), tolerated(finding), finding.hint or finding.summary


def measured(finding: Finding) -> str | None:
    """The statistic with its interval, such as `0.98 (0.92 to 1)`; None where nothing was measured."""
    if finding.statistic is None:
        return None
    interval = f" ({finding.interval[0]:.3g} to {finding.interval[1]:.3g})" if finding.interval else ""
    return f"{finding.statistic:.3g}{interval}"


def tolerated(finding: Finding) -> str | None:
    """The tolerance, such as `at most 0.05`; None where there is none."""
    if finding.tolerance is None:
        return None
    return f"{finding.direction.replace('_', ' ')} {finding.tolerance:.3g}"
