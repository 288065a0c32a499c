"""The command `audit`: pytest in a process of its own, so that a model that ends the process cannot end it in green."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 2


def run(arguments: Sequence[str], folder: Path) -> int:
    """Run pytest with these arguments and give its exit status.

    A run that did not reach its end (killed, a crash of the interpreter, `os._exit` in a model) has status 2 whatever
    it said; its reports are rebuilt from its journals and marked incomplete.

    Args:
        folder: where the run writes its reports.
    """
    with tempfile.TemporaryDirectory(prefix="cnnaudit-") as scratch:
        ended = Path(scratch) / uuid.uuid4().hex
        status = _wait(subprocess.Popen([sys.executable, "-m", "pytest", *arguments, "--audit-run", str(ended)]))
        if ended.exists():
            return status
    _rebuild(folder, ended.name, status)
    return INTERRUPTED


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for the child, which has Ctrl-C from the terminal itself and SIGTERM from here."""
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the child ends in order and is waited for
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def _rebuild(folder: Path, run: str, status: int) -> None:
    """Write the reports of a run that did not reach its end, and say what was lost."""
    from cnnaudit.plugin.results import journals, write
    from cnnaudit.report import terminal_summary

    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    print(f"\nThe run ended before its end ({how}): it was killed, or the model ended the process.", file=sys.stderr)
    reports = [journal.report() for _, journal in journals(folder, run)]
    if not reports:
        print("No check had been asked.", file=sys.stderr)
        return
    pages, problems = write(reports, folder)
    print(terminal_summary(reports, color=sys.stdout.isatty()))
    for page in pages:
        print(f"report, rebuilt from the journal: {page}")
    for problem in problems:
        print(f"the report could not be written: {problem}", file=sys.stderr)
