"""Reports as files, each written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cnnaudit.report.model import Report


def write_report(report: Report, folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Write `report.json`, `report.md`, `report.html` and `report.sarif` into a folder, and give their paths by format.

    Raises:
        AuditError: the folder cannot be written; an older report stays as it was.
    """
    raise NotImplementedError


def write_index(reports: Sequence[Report], folder: str | os.PathLike[str]) -> Path:
    """Write `index.html`, an overview of several targets that links `<target>/report.html`, and give its path.

    Raises:
        AuditError: the folder cannot be written.
    """
    raise NotImplementedError


def folder_name(target: str) -> str:
    """The name of a target's folder under `reports/`: safe on any file system, one name per target."""
    raise NotImplementedError
