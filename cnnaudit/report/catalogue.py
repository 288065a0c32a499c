"""The catalogue of checks as text of 80 columns."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from cnnaudit.checks import Check
from cnnaudit.checks.nulls import null_distribution
from cnnaudit.core.profiles import PROFILES

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
        "More: cnnaudit checks ID",
    ]
    return "\n".join(lines)


def catalogue_markdown(checks: Sequence[Check]) -> str:
    """The table of checks as Markdown (`docs/checks.md`): question, kind, tolerance, stored false alarms and power."""
    lines = [
        "# The checks",
        "",
        "Made by `cnnaudit checks --markdown` from the checks and their stored nulls. A *gate* fails the",
        "run; a *trait* is measured, judged and reported. Intervals are exact, at 95 %. `cnnaudit checks ID` explains.",
    ]
    for family in dict.fromkeys(check.family for check in checks):
        lines += ["", f"## {family}", ""]
        lines += ["| check | kind | question | tolerance | fails clean targets | finds defects |"]
        lines.append("|---|---|---|---|---|---|")
        for check in checks:
            if check.family == family:
                facts = _kind(check), check.question, _tolerance(check)
                for id, told in zip(_measured_ids(check), (facts, *([("", "", "")] * len(check.parts)))):
                    null = null_distribution(id) or {}
                    rates = [_rate(null.get(key)) for key in ("false_alarms", "power")]
                    cells = [f"`{id}`", *told, *rates]
                    lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _measured_ids(check: Check) -> list[str]:
    """The check's id, or those of its parts, each of which has a null of its own."""
    return [f"{check.id}[{part}]" for part in check.parts] or [check.id]


def _rate(rate: Mapping[str, Any] | None) -> str:
    """Such as `0 of 160 (0 to 2.3 %)`."""
    if not rate:
        return "not calibrated"
    low, high = (f"{100 * bound:.3g}" for bound in rate["interval"])
    return f"{rate['count']} of {rate['n']} ({low} to {high} %)"


def _tolerance(check: Check) -> str:
    bound = {"at_most": "at most", "at_least": "at least"}[check.direction]
    if isinstance(check.tolerance, (int, float)):
        return f"{bound} {check.tolerance:g}"
    return f"{bound} " + ", ".join(f"{value:g} ({name})" for name, value in check.tolerance.items())


def catalogue_json(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Everything there is to say about checks, as JSON values; `measured` by id, per part where a check has parts."""
    return [
        {
            "id": check.id,
            "family": check.family,
            "question": check.question,
            "statistic": check.statistic,
            "unit": check.unit,
            "direction": check.direction,
            "tolerance": {profile: check.tolerance_at(profile) for profile in PROFILES},
            "kind": _kind(check),
            "exact": check.exact,
            "needs": list(check.needs),
            "remedy": check.remedy,
            "reference": check.reference,
            "definition": inspect.cleandoc(check.body.__doc__ or ""),
            "plants": [plant.name for plant in check.plants],
            "measured": {id: _rates(null_distribution(id) or {}) for id in _measured_ids(check)},
        }
        for check in checks
    ]


def _rates(null: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a null, without its targets."""
    return {key: null[key] for key in ("rule", "false_alarms", "power") if null.get(key)}


def check_text(check: Check) -> str:
    """Everything there is to say about one check: question, judgement, remedy, measured error rates, definition."""
    facts = [
        ("question", check.question),
        ("statistic", f"{check.statistic}, {_tolerance(check)} {check.unit}".rstrip()),
        ("kind", _kind(check) + ("; exact, without sampling error" if check.exact else "")),
        ("needs", ", ".join(check.needs) or "nothing but the model"),
        ("remedy", check.remedy),
        ("reference", check.reference),
        ("measured", _measured(check)),
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


def _measured(check: Check) -> str:
    """False alarms and power as calibrated, in words, per part where the check answers per part."""
    if not check.parts:
        return _error_rates(check.id)
    return "; ".join(f"{part}: {_error_rates(f'{check.id}[{part}]') or 'not calibrated'}" for part in check.parts)


def _error_rates(id: str) -> str:
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
