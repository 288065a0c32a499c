"""Expected failures, and what becomes of a check once its findings and its expectation are known."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cnnaudit.core.findings import Finding

Kind = Literal["passed", "failed", "expected", "trait", "inconclusive", "skipped"]
SEVERITY: tuple[Kind, ...] = ("failed", "inconclusive", "expected", "trait", "passed", "skipped")


@dataclass(frozen=True, slots=True)
class Expectation:
    """A failure that the target's file expects: `check` is an id, with or without its `[part]`.

    Past `until` the entry no longer counts.
    """

    check: str
    reason: str
    until: datetime.date | None = None

    def covers(self, check: str) -> bool:
        """Whether this entry speaks of that finding's id."""
        return check == self.check or check.partition("[")[0] == self.check

    def holds(self, today: datetime.date) -> bool:
        """Whether the entry still counts on that day."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test reports: one finding's kind and the sentence that explains it."""

    kind: Kind
    message: str
    finding: Finding | None = None


def expect(findings: Sequence[Finding], expectations: Sequence[Expectation], today: datetime.date) -> list[Finding]:
    """The findings, each with the reason of the valid expectation that covers it in `expected`."""
    valid = [entry for entry in expectations if entry.holds(today)]

    def reason(check: str) -> str | None:
        return next((entry.reason for entry in valid if entry.covers(check)), None)

    return [replace(finding, expected=reason(finding.check)) for finding in findings]


def outcomes(
    findings: Sequence[Finding], expectations: Sequence[Expectation], today: datetime.date, strict: bool = False
) -> list[Outcome]:
    """The outcomes of one check's findings, worst first, after the table of expected failures.

    An expectation that names a whole check is met when any of its parts fails, so parts that pass beside
    a failing one do not break it. `strict` turns inconclusive outcomes into failures.
    """
    findings = expect(findings, expectations, today)
    result = [_outcome(finding, strict) for finding in findings]
    for entry in expectations:
        covered = [finding for finding in findings if entry.covers(finding.check)]
        if covered:
            result.extend(_broken_expectation(entry, covered, today))
    return sorted(result, key=lambda outcome: SEVERITY.index(outcome.kind))


def _outcome(finding: Finding, strict: bool) -> Outcome:
    """One finding's outcome, before its expectation is held against it."""
    if finding.verdict == "not_applicable":
        return Outcome("skipped", finding.summary, finding)
    if finding.verdict == "inconclusive":
        return Outcome("failed" if strict else "inconclusive", finding.summary, finding)
    if finding.verdict == "pass":
        return Outcome("passed", finding.summary, finding)
    if not finding.gate:
        return Outcome("trait", finding.summary, finding)
    if finding.expected is not None:
        return Outcome("expected", finding.expected, finding)
    return Outcome("failed", finding.summary, finding)


def _broken_expectation(entry: Expectation, covered: Sequence[Finding], today: datetime.date) -> list[Outcome]:
    """A failure where a valid entry no longer describes what was measured: it passes, or cannot be asked."""
    if not entry.holds(today):
        return []
    verdicts = {finding.verdict for finding in covered}
    if verdicts & {"fail", "inconclusive"}:
        return []
    if "pass" in verdicts:
        message = f"{entry.check} is expected to fail but no longer fails: remove its [[expected]] entry"
    elif not covered[0].gate:
        return []
    else:
        message = f"{entry.check} is expected to fail but is not applicable: remove the moot [[expected]] entry"
    return [Outcome("failed", f"{message} (reason given: {entry.reason!r})", covered[0])]
