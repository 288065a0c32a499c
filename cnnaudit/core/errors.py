"""The errors a user can cause, each with a message that says what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class AuditError(Exception):
    """Base of every error whose message is meant for the user, without a traceback."""


class ConfigError(AuditError):
    """An audit file that cannot be used; `problems` lists everything that is wrong with it at once."""

    def __init__(self, problems: Sequence[str] | str, source: str = "") -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.source = source
        lines = [f"{source}: {len(self.problems)} problem(s)"] if source else []
        super().__init__("\n".join([*lines, *(f"  - {problem}" if lines else problem for problem in self.problems)]))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...], str]]:
        return type(self), (self.problems, self.source)


class ModelError(AuditError):
    """A model that cannot be loaded, or whose answer is not logits of shape (N, K)."""


class DataError(AuditError):
    """Images or labels that cannot be read or do not fit the target."""


class UnsupportedError(AuditError):
    """A question that this model or these data cannot be asked; a check turns it into `not_applicable`."""


class ReportError(AuditError):
    """A report or journal that cannot be read; the message names the file and the JSON path of what is wrong."""
