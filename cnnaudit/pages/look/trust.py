"""What is known of how far each attribution method can be trusted on a target: its fidelity findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.core.errors import AuditError
from cnnaudit.core.evidence import Evidence, table
from cnnaudit.core.findings import Finding
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import quantity, tolerance

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

FAMILY = "fidelity.*"
_WORDS = {"fail": "FAILS", "inconclusive": "undecided on", "pass": "passes", "not_applicable": "not judged by"}
_SHORT = {"fidelity.lime": "stability", "fidelity.deconvnet[definition]": "definition"}


@dataclass(frozen=True)
class Trust:
    """Fidelity findings of a target, and where they come from in one sentence."""

    findings: Sequence[Finding]
    source: str

    def words(self, method: str) -> str:
        """The verdicts of one method, such as `FAILS randomization; passes deletion`; empty where nothing was asked."""
        found = [finding for finding in self.findings if _concerns(finding, method)]
        groups = []
        for verdict, word in _WORDS.items():
            names = [f"{_short(f)}{' (expected)' * (f.expected is not None)}" for f in found if f.verdict == verdict]
            groups += [f"{word} {', '.join(names)}"] if names else []
        return "; ".join(groups) or "not measured" * bool(self.findings)

    def table(self, methods: Mapping[str, str]) -> list[Evidence]:
        """The verdicts with their numbers, a row for each method; `methods`: names and titles."""
        judged = {
            name: {_short(finding): finding for finding in self.findings if _concerns(finding, name)}
            for name in methods
        }
        asked = list(dict.fromkeys(check for found in judged.values() for check in found))
        rows = [
            [methods[name], *(_cell(found.get(check)) for check in asked)] for name, found in judged.items() if found
        ]
        limits = {_short(finding): tolerance(finding) for finding in self.findings}
        columns = ["method", *(f"{check} ({limits[check]})" for check in asked)]
        return [table("Fidelity of the methods on this target", columns, rows)] if rows else []

    def general(self) -> list[str]:
        """The summaries of findings that concern no single method."""
        return [f.summary for f in self.findings if f.check == "fidelity.integrity" and f.verdict != "not_applicable"]


def trust(target: AuditTarget, reports: Path, measure: bool = True) -> Trust:
    """The fidelity findings of the target's last report; without a recent one, of the checks, asked now.

    A report counts where it holds fidelity findings and is newer than the audit file.

    Args:
        reports: where the runs write their reports.
        measure: ask the checks where there is no report; else nothing is measured.
    """
    path = reports / folder_name(target.name) / "report.json"
    findings = _reported(path, Path(target.source) if target.source else None)
    if findings:
        return Trust(findings, f"The verdicts beside the pictures are those of {path}.")
    if not measure:
        return Trust((), "Whether the pictures can be trusted on this target was not measured.")
    return _measured(target)


def _reported(path: Path, source: Path | None) -> list[Finding]:
    """The fidelity findings of a report, none where it is missing, malformed or older than the audit file."""
    from cnnaudit.report import load_report

    try:
        if source is not None and source.is_file() and path.stat().st_mtime < source.stat().st_mtime:
            return []
        report = load_report(path)
    except (OSError, AuditError):
        return []
    return [finding for finding in report.findings if finding.family == "fidelity"]


def _measured(target: AuditTarget) -> Trust:
    """The fidelity checks, asked now."""
    from cnnaudit.checks import AuditCrashError, audit, catalogue

    if not any(id.startswith("fidelity.") for id in catalogue()):
        return Trust((), "Whether the pictures can be trusted was not measured: there are no fidelity checks.")
    try:
        findings, crashed = audit(target, select=(FAMILY,)), ""
    except AuditCrashError as error:
        findings, crashed = error.findings, f" Crashed, and so not measured: {', '.join(error.errors)}."
    return Trust(findings, f"The verdicts beside the pictures were measured just now, with the profile quick.{crashed}")


def _concerns(finding: Finding, method: str) -> bool:
    """Whether a finding is about that method: by its part, or because the check bears the method's name."""
    return finding.part == method or finding.check.partition("[")[0] == f"fidelity.{method}"


def _short(finding: Finding) -> str:
    """What was asked in a word: `randomization`, `deletion`, `definition` …"""
    check, part = finding.check.partition("[")[0].partition(".")[2], finding.part
    return _SHORT.get(finding.check) or (part if check == "deconvnet" and part else check)


def _cell(finding: Finding | None) -> str:
    """The verdict and the number; empty where nothing was asked."""
    if finding is None:
        return ""
    word = finding.verdict.replace("_", " ")
    return word if finding.statistic is None else f"{word}, {quantity(finding.statistic, finding.unit)}"
