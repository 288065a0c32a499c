"""The colors of figures: on a page, where they follow its dark mode, and in print, on white."""

from __future__ import annotations

from dataclasses import dataclass

from cnnaudit.report import figures


@dataclass(frozen=True)
class Colors:
    """Ink, faint lines, and up to six series that color-blind people can tell apart (Okabe and Ito)."""

    ink: str
    faint: str
    series: tuple[str, ...]


PAGE = Colors(figures.INK, figures.FAINT, figures.LINE_COLORS)
PRINT = Colors("#1a1a1a", "#8a8a8a", ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"))
