"""The summary at the end of a run, in a terminal's columns."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from cnnaudit.report.model import Report
from cnnaudit.report.predicted import predicted
from cnnaudit.report.verdict import (
    Entry,
    Failure,
    counts,
    failures,
    headline,
    hinted,
    lines,
    overall,
    parts_together,
    status,
    worst_first,
)
from cnnaudit.report.words import HINT, LOOKS, Status, judgement, printable, would_decide

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_SHORT: dict[Status, str] = {"inconclusive": "inconcl.", "trait": "traits"}


def in_color(stream: TextIO) -> bool:
    """Whether to write colors to a stream: a terminal, unless the variable NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def terminal_summary(reports: Sequence[Report], width: int = 80, color: bool = False) -> str:
    """The summary of a run, worst first, no line wider than `width`; `color` adds ANSI styles.

    Each report opens with the verdict of its gates, its failures with what to do, and a line for each kind of what
    fails nothing. A report that stands alone then tells its undecided gates, expected failures and traits; several
    open with a table.
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
    """One target's summary; `full` adds what fails nothing, one finding after another."""
    look = LOOKS[status(report)]
    yield paragraph(f"{look.icon} {shortened(report.name, 60)}", style=look.style)
    yield paragraph(headline(report), 2)
    for failure in failures(report):
        yield from _failure(failure)
    for entry in hinted(report):
        yield from _told(entry)
    for line in lines(report):
        text = f"{LOOKS[line.kind].icon} {line.text}"
        if line.kind in ("trait", "inconclusive", "expected"):
            text += f": {', '.join(parts_together(line.entries))}"
        yield paragraph(shortened(text, width - 2), 2, LOOKS[line.kind].style)
    passed = counts(report).get("passed", 0)
    if passed:
        yield paragraph(f"{LOOKS['passed'].icon} {passed} passed", 2, "green")
    if full and (seen := predicted(report)):
        yield paragraph(seen.sentence, 2, "dim")
    told = [entry for line in lines(report) for entry in line.entries if full and _worth_telling(entry)]
    if told:
        yield ""
    for entry in told:
        yield from _told(entry)


def _worth_telling(entry: Entry) -> bool:
    """Whether a finding that fails nothing is told by itself; one with a hint was told before."""
    return entry.kind != "skipped" and not entry.undecided_trait and not entry.finding.hint


def _failure(failure: Failure) -> Iterator[RenderableType]:
    """Problem, number, and what to do, the specific cause first."""
    yield _head(failure.kind, failure.title)
    yield paragraph(shortened(failure.problem, 400), 4)
    if len(failure.checks) > 1:
        yield paragraph(", ".join(printable(check) for check in failure.checks), 4)
    if failure.number:
        yield paragraph(failure.number, 4, "dim")
    if failure.hint:
        yield paragraph(f"{HINT} {failure.hint}", 4, "bold")
    if failure.action:
        yield paragraph(f"→ {failure.action}", 4)


def _head(kind: Status, check: str) -> Text:
    """The line that opens a finding: icon, word, id."""
    from rich.text import Text

    look = LOOKS[kind]
    return Text.assemble("  ", (f"{look.icon} {look.word}", look.style), f"  {printable(check)}")


def _told(entry: Entry) -> Iterator[RenderableType]:
    """One finding that fails nothing, with its hint, its fact, and what would decide it."""
    finding = entry.finding
    yield _head(entry.kind, finding.check)
    if finding.hint:
        yield paragraph(f"{HINT} {finding.hint}", 4, "bold")
    yield paragraph(finding.summary, 4)
    if finding.expected is not None:
        yield paragraph(f"Expected: {finding.expected}", 4)
    if finding.verdict == "inconclusive":
        yield paragraph(would_decide(finding), 4)
        yield paragraph(judgement(finding), 4, "dim")
