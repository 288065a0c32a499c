"""What changed between two reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnnaudit.report.model import Report


@dataclass(frozen=True)
class Comparison:
    """What changed from an older report to a newer one."""

    @property
    def exit_status(self) -> int:
        """1 where something got worse (a gate newly fails or a check newly crashes), else 0."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        raise NotImplementedError

    def text(self, width: int = 80, color: bool = False) -> str:
        """The comparison for a terminal, worse first, no line wider than `width`."""
        raise NotImplementedError


def compare(a: Report, b: Report) -> Comparison:
    """What changed from report `a` (older) to report `b` (newer)."""
    raise NotImplementedError
