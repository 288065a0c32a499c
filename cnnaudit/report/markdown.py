"""Reports for pull requests and the step summary of a CI run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnaudit.report.model import Report


def markdown(reports: Sequence[Report]) -> str:
    """The reports as Markdown, every name escaped."""
    raise NotImplementedError


def write_step_summary(reports: Sequence[Report]) -> Path | None:
    """Append the Markdown to the file that `GITHUB_STEP_SUMMARY` names, and give its path; None where it is unset.

    Raises:
        AuditError: the file cannot be written.
    """
    raise NotImplementedError
