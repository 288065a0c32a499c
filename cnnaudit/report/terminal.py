"""The summary at the end of a run, in a terminal's columns."""

from __future__ import annotations

from collections.abc import Sequence

from cnnaudit.report.model import Report


def terminal_summary(reports: Sequence[Report], width: int = 80, color: bool = False) -> str:
    """The summary of a run, worst first, no line wider than `width`; `color` adds ANSI styles."""
    raise NotImplementedError
