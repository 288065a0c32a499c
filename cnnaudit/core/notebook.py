"""Small tables for `_repr_html_`, what a notebook shows of an object; every text in them is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from cnnaudit.core.names import printable

MOST_ROWS, LONG = 60, 60
COLORS = {"fail": "#b3261e", "inconclusive": "#8a5a00", "pass": "#00573f", "not_applicable": "#6b7280"}


def table_html(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table; a cell that is a verdict has its color, None is empty, and rows beyond 60 are counted.

    Example:
        >>> table_html(["a"], [[0.12345]])
        '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>0.123</td></tr></tbody></table>'
    """
    rows = list(rows)
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows[:MOST_ROWS])
    more = len(rows) - MOST_ROWS
    rest = f'<tr><td colspan="{len(columns)}">… and {more} more</td></tr>' if more > 0 else ""
    said = f"<caption>{text(caption)}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}{rest}</tbody></table>"


def facts_html(title: str, facts: Iterable[tuple[str, Any]]) -> str:
    """A title over a table of names and values; empty values are left out."""
    rows = "".join(
        f'<tr><th style="text-align:left">{text(name)}</th>{_cell(value)}</tr>'
        for name, value in facts
        if value not in (None, "", ())
    )
    return f"<p><strong>{text(title)}</strong></p><table><tbody>{rows}</tbody></table>"


def text(value: Any) -> str:
    """A value as escaped text on one line, a float with three significant digits."""
    shown = f"{value:.3g}" if isinstance(value, float) else printable(str(value))
    return html.escape(shown)


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        return f"<td>{'' if value is None else text(value)}</td>"
    color = COLORS.get(value)
    style = f"color:{color};font-weight:600" if color else "text-align:left"
    wide = ";min-width:22em;white-space:normal" if len(value) > LONG else ""  # a narrow screen scrolls
    return f'<td style="{style}{wide}">{text(value)}</td>'
