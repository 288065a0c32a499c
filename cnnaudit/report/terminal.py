"""The summary at the end of a run, in a terminal's columns."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cnnaudit.report.model import Report
from cnnaudit.report.words import (
    HINT,
    LOOKS,
    Entry,
    Status,
    counts,
    entries,
    headline,
    judgement,
    listed,
    overall,
    plural,
    printable,
    status,
    worst_first,
    would_decide,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from cnnaudit.core.findings import Finding

TOLD = ("inconclusive", "expected", "trait")
_SHORT: dict[Status, str] = {"inconclusive": "inconcl.", "trait": "traits"}


def terminal_summary(reports: Sequence[Report], width: int = 80, color: bool = False) -> str:
    """The summary of a run, worst first, no line wider than `width`; `color` adds ANSI styles.

    One report is told in full: failures with their numbers and remedies, inconclusive gates with what would
    decide them, expected ones with their reasons, traits; undecided traits are named, passes only counted. Several
    reports open with a table, and all but their failures are told in one line each.
    """
    ordered = worst_first(reports)
    parts: list[RenderableType] = []
    if len(ordered) > 1:
        parts += _overview(ordered)
    for report in ordered:
        if len(ordered) == 1 or set(counts(report)) - {"passed", "skipped"}:
            parts += ["", *_target(report, width, full=len(ordered) == 1)]
    return render(parts, width, color)


def render(parts: Sequence[RenderableType], width: int, color: bool) -> str:
    """Rich renderables as text, without trailing spaces, no line wider than `width`."""
    from rich.console import Console

    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for part in parts:
        console.print(part, overflow="fold")
    return "\n".join(line.rstrip() for line in stream.getvalue().strip("\n").split("\n"))


def paragraph(text: str, indent: int = 0, style: str = "") -> RenderableType:
    """Wrapped printable text with all its lines indented."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(printable(text), style=style), (0, 0, 0, indent), expand=False)


def shortened(text: str, cells: int) -> str:
    """One-line text, cut with an ellipsis beyond so many columns."""
    from rich.cells import cell_len, set_cell_size

    text = printable(text)
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def _overview(reports: Sequence[Report]) -> Iterator[RenderableType]:
    """A table with a line per target: its name, its worst outcome and its counts."""
    from rich.table import Table
    from rich.text import Text

    yield paragraph(overall(reports), style="bold")
    yield ""
    tallies = [counts(report) for report in reports]
    kinds = [kind for kind in LOOKS if any(kind in tally for tally in tallies) and kind != "skipped"]
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("target", no_wrap=True, overflow="ellipsis", ratio=1)
    for kind in kinds:
        table.add_column(Text(_SHORT.get(kind, LOOKS[kind].word)), justify="right", no_wrap=True)
    for report, tally in zip(reports, tallies):
        look = LOOKS[status(report)]
        name = Text(f"{look.icon} {printable(report.name)}", look.style)
        cells = [Text(str(tally[kind]), LOOKS[kind].style) if kind in tally else Text("·", "dim") for kind in kinds]
        table.add_row(name, *cells)
    yield table


def _target(report: Report, width: int, full: bool) -> Iterator[RenderableType]:
    """One target's summary; without `full`, everything that fails nothing takes one line."""
    look = LOOKS[status(report)]
    yield paragraph(f"{look.icon} {shortened(report.name, 60)}", style=look.style)
    yield paragraph(headline(report), 2)
    for message, checks in _causes(report).items():
        yield _head("crashed", checks[0] if len(checks) == 1 else f"{len(checks)} checks")
        yield paragraph(shortened(message, 300), 4)
        if len(checks) > 1:
            yield paragraph(", ".join(printable(check) for check in checks), 4)
    for entry in entries(report):
        if entry.undecided_trait and not entry.finding.hint:
            continue
        if entry.kind == "failed" or entry.finding.hint or (full and entry.kind in TOLD):
            yield from _told(entry)
        elif entry.kind in ("inconclusive", "expected"):
            yield from _line(entry, width)
    yield from _counted(report, full)


def _causes(report: Report) -> dict[str, list[str]]:
    """The checks that crashed, by what they said: one unreadable image stops many of them."""
    causes: dict[str, list[str]] = {}
    for error in report.errors:
        causes.setdefault(error["message"], []).append(error["check"])
    return causes


def _head(kind: Status, check: str) -> Text:
    """The line that opens a finding: icon, word, id."""
    from rich.text import Text

    look = LOOKS[kind]
    return Text.assemble("  ", (f"{look.icon} {look.word}", look.style), f"  {printable(check)}")


def _told(entry: Entry) -> Iterator[RenderableType]:
    """One finding in full."""
    finding = entry.finding
    yield _head(entry.kind, finding.check)
    if finding.hint:
        yield paragraph(f"{HINT} {finding.hint}", 4, "bold")
    yield paragraph(entry.note or finding.summary, 4)
    if entry.note:
        return
    if finding.expected is not None:
        yield paragraph(f"Expected: {finding.expected}", 4)
    if finding.verdict == "inconclusive":
        yield paragraph(would_decide(finding), 4)
    if entry.kind in ("failed", "inconclusive"):
        yield paragraph(judgement(finding), 4, "dim")
    if entry.kind == "failed" and finding.remedy:
        yield paragraph(f"→ {finding.remedy}", 4)


def _line(entry: Entry, width: int) -> Iterator[RenderableType]:
    """One finding in one line: why it is expected, or what would decide it."""
    text = _head(entry.kind, entry.finding.check)
    more = would_decide(entry.finding).partition(";")[0] if entry.kind == "inconclusive" else entry.finding.expected
    text.append(f"  {printable(more)}", "dim")
    text.truncate(width, overflow="ellipsis")
    yield text


def _counted(report: Report, full: bool) -> Iterator[RenderableType]:
    """The findings that are only counted, or named where several targets share the screen."""
    found = counts(report)
    undecided = [entry.finding for entry in entries(report) if entry.undecided_trait]
    if undecided:
        yield _named("inconclusive", plural(len(undecided), "undecided trait"), undecided)
    if not full and "trait" in found:
        traits = [entry.finding for entry in entries(report) if entry.kind == "trait"]
        yield _named("trait", plural(len(traits), "trait"), traits)
    quiet = [f"{found[kind]} {LOOKS[kind].word}" for kind in ("passed", "skipped") if kind in found]
    if quiet:
        yield paragraph(f"{LOOKS['passed'].icon} {listed(quiet)}", 2, "green")


def _named(kind: Status, title: str, findings: Sequence[Finding]) -> RenderableType:
    """Findings by name in one paragraph, the parts of a check together."""
    parts: dict[str, list[str]] = {}
    for finding in findings:
        parts.setdefault(finding.base_check, []).append(finding.part)
    names = [check + (f"[{', '.join(filter(None, found))}]" if any(found) else "") for check, found in parts.items()]
    return paragraph(f"{LOOKS[kind].icon} {title}  {', '.join(names)}", 2, LOOKS[kind].style)
