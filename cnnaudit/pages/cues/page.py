"""The cue table of a target, and for each alarm the pictures that convince."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.checks.run import audit
from cnnaudit.core.evidence import Evidence, table
from cnnaudit.core.findings import Finding
from cnnaudit.pages.document import Section, write_document

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_CLASSES = 12
_THERE = ("there (AUC)", "constancy")
_USED = ("used (gain)", "gain")


def cues(target: AuditTarget, path: Path, profile: str = "quick", seed: int = 0) -> Path:
    """Run the checks `shortcut.*` on a target, write their page and return its path.

    Raises:
        OutputError: the page cannot be written.
    """
    findings = audit(target, select=["shortcut.*"], seed=seed, profile=profile)
    alarms = [finding for finding in findings if finding.verdict == "fail"]
    others = [finding for finding in findings if finding.verdict != "fail"]
    names = ", ".join(cue_name(finding) for finding in alarms)
    lead = f"The model goes by: {names}." if alarms else f"No cue of {len(findings)} was found to be there and used."
    text = [
        "A cue is there where it alone tells a class from the rest, and used where images of other classes that are "
        "given it take the class's label. A cell holds both numbers, 'there' first; a dash: not measured."
    ]
    sections = [
        Section("The cues", text, [verdicts(findings), by_class(findings, target.classes)]),
        *(
            Section(f"Alarm: {cue_name(finding)}", [finding.summary, finding.remedy], finding.evidence)
            for finding in alarms
        ),
        Section("No alarm", [f"{cue_name(finding)}: {finding.summary}" for finding in others]),
    ]
    return write_document(path, f"Cues of {target.name}", lead, sections, "there, and used")


def cue_name(finding: Finding) -> str:
    """The cue of a finding: `color` of `shortcut.color`."""
    return finding.check.partition(".")[2]


def verdicts(findings: Sequence[Finding]) -> Evidence:
    """One row per cue: its verdict and what was measured."""
    columns = ["cue", "verdict", "statistic", "interval", "tolerance", "worst class"]
    rows = []
    for finding in findings:
        low, high = finding.interval or (None, None)
        interval = "" if low is None else f"{low:.2f} to {high:.2f}"
        value = None if finding.statistic is None else round(finding.statistic, 3)
        worst = finding.locations[0].class_name if finding.locations else ""
        verdict = finding.verdict.replace("_", " ") + (", gate" if finding.gate else "")
        rows.append([cue_name(finding), verdict, value, interval, finding.tolerance, worst])
    return table("Verdict of each cue", columns, rows)


def by_class(findings: Sequence[Finding], classes: Sequence[str]) -> Evidence:
    """Rows cues, columns classes (the first 12): how well the cue tells the class, and how many images follow it."""
    shown = list(classes[:_CLASSES])
    rows = [[cue_name(finding), *(_cells(finding).get(name, "–") for name in shown)] for finding in findings]
    return table("There and used, per class", ["cue", *shown], rows)


def _cells(finding: Finding) -> dict[str, str]:
    """`there / used` by class, from the finding's own table of classes."""
    for item in finding.evidence:
        columns = item.get("columns", ())
        there = next((columns.index(name) for name in _THERE if name in columns), None)
        if there is None or columns[0] != "class":
            continue
        used = next((columns.index(name) for name in _USED if name in columns), None)
        return {
            row[0]: f"{_number(row[there])} / {_number(None if used is None else row[used])}" for row in item["rows"]
        }
    return {}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
