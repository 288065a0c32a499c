"""Reports for pull requests and the step summary of a CI run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnaudit.core.errors import AuditError
from cnnaudit.report.model import Report
from cnnaudit.report.predicted import predicted
from cnnaudit.report.verdict import (
    Entry,
    Failure,
    Line,
    entries,
    failures,
    headline,
    hinted,
    lines,
    overall,
    parts_together,
    status,
    worst_first,
)
from cnnaudit.report.words import HINT, LOOKS, Status, judgement, measured, plural, printable, tolerance, would_decide

LIMIT = 1024 * 1024 - 4096  # GitHub refuses a step summary beyond 1 MiB; the rest is for the note and other writers
LONGEST = 600


def markdown(reports: Sequence[Report], limit: int | None = None) -> str:
    """The reports as Markdown, every name escaped; beyond `limit` bytes cut between two findings, which is said.

    Example:
        >>> from cnnaudit.core.findings import Finding
        >>> demo = Report({"name": "a|b"}, findings=(Finding("a.b", "a|b", "pass", "Well.", statistic=0.0),))
        >>> print(markdown([demo]).splitlines()[0])
        ## ✓ a\\|b
    """
    ordered = worst_first(reports)
    blocks = list(_overview(ordered)) if len(ordered) > 1 else []
    for report in ordered:
        blocks += _blocks(report)
    kept, size = [], 0
    for k, block in enumerate(blocks):
        size += len(block.encode("utf-8", "replace")) + 2
        if limit is not None and size > limit:
            kept.append(
                f"**Cut here: {plural(len(blocks) - k, 'part')} left out; report.html and report.json hold all.**"
            )
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def write_step_summary(reports: Sequence[Report]) -> Path | None:
    """Append the Markdown to the file that `GITHUB_STEP_SUMMARY` names, and give its path; None where it is unset.

    What stands in the file already counts towards the 1 MiB that GitHub shows.

    Raises:
        AuditError: the file cannot be written.
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return None
    path = Path(name)
    try:
        used = path.stat().st_size if path.exists() else 0
        text = markdown(reports, limit=max(LIMIT - used, 0))
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise AuditError(f"GITHUB_STEP_SUMMARY: {path.name} cannot be written: {error.strerror or error}") from None
    return path


def escape(text: object) -> str:
    r"""Text that Markdown shows as it is: on one line, no markup, no HTML, no table cell, no mention, no issue link.

    Example:
        >>> print(escape("a|b <i> *c*"))
        a\|b &lt;i&gt; \*c\*
    """
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", shown)
    # a zero-width space keeps GitHub from notifying people and from linking issues and addresses
    return re.sub(r"(@|#|://|www\.|GH-)(?=\w)", "\\1\u200b", shown)


def _overview(reports: Sequence[Report]) -> Iterator[str]:
    """The verdict over all targets and a line for each."""
    rows = [f"| {_mark(status(report))} | {escape(report.name)} | {escape(headline(report))} |" for report in reports]
    yield f"# {escape(overall(reports))}"
    yield "\n".join(["| | target | verdict |", "|---|---|---|", *rows])


def _blocks(report: Report) -> Iterator[str]:
    """One target's report in parts that may be cut between: what a busy person needs stands first."""
    found = entries(report)
    yield f"## {LOOKS[status(report)].icon} {escape(report.name)}"
    yield f"**{escape(headline(report))}**"
    for failure in failures(report):
        yield failure_text(failure)
    hints = hinted(report)
    for entry in hints:
        yield told(entry)
    noted = [f"- {LOOKS[line.kind].icon} {escape(line.text)}{_named(line)}" for line in lines(report)]
    if noted:
        yield "\n".join(noted)
    if seen := predicted(report):
        yield escape(seen.sentence)
    for entry in found:
        if entry.kind == "inconclusive" and entry.finding.gate and entry not in hints:
            yield told(entry)
    groups: tuple[tuple[Status, ...], ...] = (("expected", "trait"), ("inconclusive",), ("passed", "skipped"))
    for kinds in groups:
        those = [entry for entry in found if entry.kind in kinds]
        if those and kinds == ("expected", "trait"):
            yield findings_table(those)
        elif those:
            tally = [f"{n} {LOOKS[kind].word}" for kind in kinds if (n := sum(entry.kind == kind for entry in those))]
            yield f"<details><summary>{', '.join(tally)}</summary>\n\n{findings_table(those)}\n\n</details>"


def _named(line: Line) -> str:
    """The ids of a line's findings where they say something."""
    return "" if line.kind == "skipped" else f": {escape(', '.join(parts_together(line.entries)))}"


def failure_text(failure: Failure) -> str:
    """Problem, number, and what to do, the specific cause first."""
    parts = [f"### {_mark(failure.kind)} {escape(failure.title)}", escape(failure.problem)]
    parts += [escape(", ".join(failure.checks))] if len(failure.checks) > 1 else []
    parts += [escape(failure.number)] if failure.number else []
    parts += [f"**{HINT}** {escape(failure.hint)}"] if failure.hint else []
    parts += [f"**What to do:** {escape(failure.action)}"] if failure.action else []
    return "\n\n".join(parts)


def told(entry: Entry) -> str:
    """One finding that fails nothing, with its hint, its number, and what would decide it."""
    finding = entry.finding
    parts = [f"### {_mark(entry.kind)} {escape(finding.check)}"]
    parts += [f"**{HINT}** {escape(finding.hint)}"] if finding.hint else []
    parts.append(escape(finding.summary))
    parts += [escape(judgement(finding))] if finding.statistic is not None else []
    parts += [f"**Undecided:** {escape(would_decide(finding))}"] if finding.verdict == "inconclusive" else []
    return "\n\n".join(parts)


def findings_table(found: Sequence[Entry]) -> str:
    """Findings as a table, the reason beside those that are expected."""
    rows = []
    for entry in found:
        finding = entry.finding
        reason = f" Expected: {escape(finding.expected)}" if finding.expected is not None else ""
        number, bound = ("", "") if finding.statistic is None else (measured(finding), tolerance(finding))
        rows.append(
            f"| {_mark(entry.kind)} | {escape(finding.check)} | {escape(number)} | {escape(bound)} "
            f"| {escape(finding.summary)}{reason} |"
        )
    return "\n".join(["| | check | measured | tolerated | |", "|---|---|---|---|---|", *rows])


def _mark(kind: str) -> str:
    """Icon and word."""
    look = next(look for name, look in LOOKS.items() if name == kind)
    return f"{look.icon} {look.word}"
