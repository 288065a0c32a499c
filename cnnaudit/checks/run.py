"""Run checks on a target, with and without pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnnaudit.checks._catalogue import catalogue_of
from cnnaudit.checks.registry import Check
from cnnaudit.checks.state import process_state
from cnnaudit.core.expectations import expect
from cnnaudit.core.finding_list import Findings
from cnnaudit.core.findings import Finding
from cnnaudit.core.profiles import Profile
from cnnaudit.core.selection import select as matching
from cnnaudit.core.statistics import gate_confidence

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget


class AuditCrashError(Exception):
    """Some checks crashed: `errors` by check id, `findings` of all the others."""

    def __init__(self, errors: Mapping[str, Exception], findings: Sequence[Finding]) -> None:
        self.errors, self.findings = dict(errors), Findings(findings)
        first = next(iter(self.errors.values()))
        super().__init__(f"{len(self.errors)} check(s) crashed: {', '.join(self.errors)}; first: {first!r}")


def is_gate(check: Check, target: AuditTarget) -> bool:
    """Whether the check's failure fails this target's run, its file included."""
    return bool(target.overrides.get(check.id, {}).get("gate", check.is_gate(target)))


def selected(target: AuditTarget) -> list[Check]:
    """The target's catalogue: all checks but those that its file ignores."""
    checks = catalogue_of(target)
    ignored = set(matching(target.ignore, checks))
    return [check for id, check in checks.items() if id not in ignored]


def gates(target: AuditTarget) -> int:
    """m of the one-step correction: the target's gates that rest on a sample and can be asked of it."""
    return sum(is_gate(c, target) and not c.exact and not c.missing(target) for c in selected(target))


def run_check(check: Check, target: AuditTarget, *, seed: int = 0, profile: str | Profile = "quick") -> list[Finding]:
    """The findings of one check in a run: settings of the target's file, corrected confidence.

    A gate is judged at 1 - .05 / m, so that all m gates of the run share .05; a trait at .95. The process is left as it
    was: default dtype, threads, random state and the like (see `process_state`).
    """
    gate = is_gate(check, target)
    tolerance = target.overrides.get(check.id, {}).get("tolerance")
    confidence = gate_confidence(gates(target) if gate else 1)
    with process_state():
        found = check(target, tolerance=tolerance, seed=seed, confidence=confidence, profile=profile, gate=gate)
    return [found] if isinstance(found, Finding) else found


def audit(
    target: AuditTarget,
    select: Sequence[str] = ("*",),
    ignore: Sequence[str] = (),
    seed: int = 0,
    profile: str | Profile = "quick",
) -> Findings:
    """All findings of the selected checks on a target, without pytest: a list, and a table in a notebook.

    Args:
        select, ignore: shell-style patterns of check ids, such as `padding.*`.
        seed: the run's seed.
        profile: `quick`, `standard` or `deep`.

    Raises:
        ConfigError: a pattern matches no check.
        AuditCrashError: a check crashed; carries the findings of all the others.
    """
    import datetime

    known = catalogue_of(target)
    chosen = set(matching(select, known)) - set(matching(ignore, known))
    findings: list[Finding] = []
    errors: dict[str, Exception] = {}
    for check in selected(target):
        if check.id not in chosen:
            continue
        try:
            findings += run_check(check, target, seed=seed, profile=profile)
        except Exception as error:
            errors[check.id] = error
    judged = Findings(expect(findings, target.expected, datetime.date.today()))
    if errors:
        raise AuditCrashError(errors, judged)
    return judged
