"""Reports for code scanning: SARIF 2.1.0 (OASIS 2020)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from cnnaudit.core.findings import Finding, Location
from cnnaudit.report.model import Report
from cnnaudit.report.verdict import Entry, entries, headline
from cnnaudit.report.words import HINT, judgement, printable, registered, would_decide

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
DEFAULT_FILE = "audit.toml"
MOST_LOCATIONS = 20


def sarif(report: Report) -> dict[str, Any]:
    """The report as a SARIF log: a rule per check, a result per finding that a person should see.

    A failed gate is an error, an inconclusive finding a warning, a trait a note; an expected failure is suppressed with
    its reason. Passes are left out, but for those that have a hint, which are notes. The fingerprint of a result stays
    the same while its numbers change.
    """
    shown = [entry for entry in entries(report) if entry.kind not in ("passed", "skipped") or entry.finding.hint]
    rules = sorted({finding.base_check for finding in report.findings})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(report, rules)},
                "automationDetails": {"id": f"cnnaudit/{_text(report.name)}/"},
                "invocations": [
                    {
                        "executionSuccessful": report.complete and not report.errors,
                        "toolExecutionNotifications": [*_notifications(report)],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [_result(report, entry, rules.index(entry.finding.base_check)) for entry in shown],
            }
        ],
    }


def _driver(report: Report, rules: list[str]) -> dict[str, Any]:
    """The tool with its rules."""
    version = str(report.environment.get("cnnaudit") or "")
    return {
        "name": "cnnaudit",
        **({"version": version} if version else {}),
        "rules": [_rule(id, report) for id in rules],
    }


def _rule(id: str, report: Report) -> dict[str, Any]:
    """A check as a rule: its question, its statistic, its remedy and its source."""
    finding = next(finding for finding in report.findings if finding.base_check == id)
    check = registered(id)
    question = check.question if check else f"The check {id}."
    remedy = (check.remedy if check else finding.remedy) or "See report.html."
    reference = f" Reference: {finding.reference}" if finding.reference else ""
    return {
        "id": _text(id),
        "shortDescription": {"text": _text(question)},
        "fullDescription": {"text": _text(f"{question} Measured: {finding.statistic_name or 'see report.html'}.")},
        "help": {"text": _text(f"{remedy}{reference}")},
        "defaultConfiguration": {"level": "error" if finding.gate else "note"},
        "properties": {"tags": [_text(finding.family)]},
    }


def _result(report: Report, entry: Entry, rule: int) -> dict[str, Any]:
    """One finding as a result."""
    finding = entry.finding
    levels = {"failed": "error", "inconclusive": "warning", "expected": "error"}
    parts = [f"{HINT} {finding.hint}"] if finding.hint else []
    parts += [entry.note or finding.summary, judgement(finding)]
    if finding.verdict == "inconclusive":
        parts.append(would_decide(finding))
    if finding.verdict == "fail":
        parts.append(finding.remedy)
    result: dict[str, Any] = {
        "ruleId": _text(finding.base_check),
        "ruleIndex": rule,
        "level": levels.get(entry.kind, "note"),
        "message": {"text": _text(" ".join(part for part in parts if part))},
        "locations": [_location(report, finding)],
        "partialFingerprints": {"cnnaudit/v1": _fingerprint(finding.check, report.name)},
    }
    if finding.verdict == "fail" and finding.expected is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": _text(finding.expected) or "expected"}
        ]
    return result


def _location(report: Report, finding: Finding) -> dict[str, Any]:
    """The audit file, relative to the repository, and the layers or classes the finding names."""
    name = str(report.target.get("source") or DEFAULT_FILE)
    parts = [part for part in PurePosixPath(_text(name)).parts if part not in ("/", "..", ".")]
    places = [{"fullyQualifiedName": _text(finding.check)}]
    places += [{"fullyQualifiedName": text} for text in map(_place, finding.locations[:MOST_LOCATIONS]) if text]
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote("/".join(parts)), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 1},
        },
        "logicalLocations": places,
    }


def _place(place: Location) -> str:
    """A layer, unit or class in words."""
    parts = [f"layer {place.layer}" if place.layer is not None else ""]
    parts.append(f"unit {place.unit}" if place.unit is not None else "")
    parts.append(f"class {place.class_name}" if place.class_name is not None else "")
    parts.append(f"image {place.image}" if place.image is not None else "")
    return _text(", ".join(part for part in parts if part))


def _notifications(report: Report) -> Iterator[dict[str, Any]]:
    """What went wrong in the run: crashed checks, and that it did not finish."""
    if not report.complete:
        yield {"level": "error", "message": {"text": _text(headline(report))}}
    for error in report.errors:
        yield {
            "level": "error",
            "message": {"text": _text(f"{error['check']} crashed: {error['message']}")},
            "associatedRule": {"id": _text(error["check"])},
        }


def _fingerprint(check: str, target: str) -> str:
    """The same for the same check on the same target, whatever was measured."""
    return hashlib.sha256(f"{target}\0{check}".encode("utf-8", "surrogatepass")).hexdigest()


def _text(value: object) -> str:
    """Plain text without the two things that SARIF reads into a message: placeholders and embedded links."""
    return printable(value).replace("{", "(").replace("}", ")").replace("](", "] (")
