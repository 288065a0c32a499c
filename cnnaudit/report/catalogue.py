"""The catalogue of checks as text of 80 columns."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence

from cnnaudit.checks import Check
from cnnaudit.checks.nulls import null_distribution

WIDTH = 80


def catalogue_text(checks: Sequence[Check]) -> str:
    """All checks by family: id, whether a failure fails the run, and the question."""
    lines: list[str] = []
    family = ""
    for check in checks:
        if check.id.partition(".")[0] != family:
            family = check.id.partition(".")[0]
            lines += [""] if lines else []
        lines.append(f"{check.id:<44}{_kind(check)}")
        lines.append(textwrap.fill(check.question, WIDTH, initial_indent="    ", subsequent_indent="    "))
    lines += [
        "",
        "A gate fails the run; a trait is measured, judged and reported.",
        "More: python -m cnnaudit checks ID",
    ]
    return "\n".join(lines)


def check_text(check: Check) -> str:
    """Everything there is to say about one check: question, judgement, remedy, measured error rates, definition."""
    bound = {"at_most": "at most", "at_least": "at least"}[check.direction]
    tolerance = (
        f"{check.tolerance:g}"
        if isinstance(check.tolerance, (int, float))
        else ", ".join(f"{value:g} ({name})" for name, value in check.tolerance.items())
    )
    facts = [
        ("question", check.question),
        ("statistic", f"{check.statistic}, {bound} {tolerance} {check.unit}".rstrip()),
        ("kind", _kind(check) + ("; exact, without sampling error" if check.exact else "")),
        ("needs", ", ".join(check.needs) or "nothing but the model"),
        ("remedy", check.remedy),
        ("reference", check.reference),
        ("measured", _measured(check.id)),
    ]
    body = "\n".join(
        textwrap.fill(value, WIDTH, initial_indent=f"  {name:<11}", subsequent_indent=" " * 13)
        for name, value in facts
        if value
    )
    return f"{check.id}\n{body}\n\n{textwrap.indent(inspect.cleandoc(check.body.__doc__ or ''), '  ')}"


def _kind(check: Check) -> str:
    if callable(check.gate):
        return "gate if claimed, else trait"
    return "gate" if check.gate else "trait"


def _measured(id: str) -> str:
    """False alarms and power as calibrated, in words."""
    null = null_distribution(id)
    if null is None:
        return ""
    words = []
    for key, label in (
        ("false_alarms", "fails {count} of {n} clean targets"),
        ("power", "{count} of {n} planted defects"),
    ):
        if null.get(key):
            words.append(label.format(**null[key]))
    return ", ".join(words)
