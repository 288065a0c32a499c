"""Turn the failures of a report into expectations of the target's file."""

from __future__ import annotations

from pathlib import Path

from cnnaudit.checks.audit_file import read
from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.core.toml_text import comment, toml
from cnnaudit.report import folder_name, load_report
from cnnaudit.scaffold import audit_command
from cnnaudit.target.config import PLACEHOLDER


def accept(config: Path, reports: Path, reason: str | None = None) -> list[str]:
    """Append an `[[expected]]` entry for every unexpected failure of a gate in the target's last report.

    Args:
        config: the target's audit file; its text is kept, entries are added at its end.
        reports: the folder given to `--audit-report`.
        reason: the reason of all new entries; None: each asks for its own.

    Returns:
        The ids that were added.

    Raises:
        AuditError: there is no report of this target, or the file cannot be written.
        ConfigError: the audit file is not valid.
    """
    name = read(config).name
    file = reports / folder_name(name) / "report.json"
    if not file.is_file():
        raise AuditError(f"no report of {name!r} at {file}; run `{audit_command(config)}` first")
    failures = [outcome.finding for outcome in load_report(file.parent).outcomes() if outcome.kind == "failed"]
    added = [f for f in failures if f is not None and f.verdict == "fail"]
    if added:
        entries = "".join(
            f"\n# {comment(finding.summary)}\n[[expected]]\ncheck = {toml(finding.check)}\n"
            f"reason = {toml(reason or PLACEHOLDER)}\n"
            for finding in added
        )
        _append(config, entries)
    return [finding.check for finding in added]


def _append(path: Path, text: str) -> None:
    """Append to a file, whole or not at all."""
    try:
        write_whole({path: path.read_text(encoding="utf-8").rstrip("\n") + "\n" + text})
    except OSError as error:
        raise AuditError(f"{path} cannot be written: {error.strerror}; nothing was changed") from None
