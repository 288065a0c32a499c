"""Tables that show each method beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence

Tables = Callable[[str, bool], list[Evidence]]


def beside(title: str, columns: Sequence[str], rows: Mapping[str, list[Any]]) -> Tables:
    """A table with the row of one method and the baselines' rows, or with all rows."""

    from cnnaudit.attribution.methods import METHODS

    def shown(name: str, everything: bool) -> list[Evidence]:
        names = [key for key in rows if everything or key == name or METHODS[key].baseline]
        return [evidence.table(title, columns, [[METHODS[key].title, *rows[key]] for key in names])]

    return shown


def short(value: float | None) -> float | None:
    """The value with three digits."""
    return None if value is None else float(f"{value:.3g}")
