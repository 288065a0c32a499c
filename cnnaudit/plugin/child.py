"""The command `audit`: pytest in a process of its own, so that a model that ends the process cannot end it in green."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

INTERRUPTED, WRONG_USE = 2, 4
Shown = Literal["run", "verdict", "errors"]


@dataclass(frozen=True)
class Run:
    """A run that is over: its exit status, and its id, by which its journals are found."""

    status: int
    id: str


def run(arguments: Sequence[str], folder: Path, shown: Shown = "run") -> Run:
    """Run pytest with these arguments.

    A run that did not reach its end (killed, a crash of the interpreter, `os._exit` in a model) has status 2 whatever
    it said; its reports are rebuilt from its journals and marked incomplete.

    Args:
        folder: where the run writes its reports.
        shown: what reaches standard output: the whole `run`; its `verdict` alone; nothing, so that only `errors` are
            told. What pytest says of a run that audited nothing goes to standard error.
    """
    command = [sys.executable, "-m", "pytest", *arguments]
    with tempfile.TemporaryDirectory(prefix="cnnaudit-") as scratch:
        ended = Path(scratch) / uuid.uuid4().hex
        with (Path(scratch) / "output").open("w+b") as held:
            to = None if shown == "run" else held
            status = _wait(subprocess.Popen([*command, "--audit-run", str(ended)], stdout=to))
            done = ended.exists()
            if to and status not in (0, WRONG_USE) and not _journals(folder, ended.name):
                _repeat(held)
    if status == WRONG_USE and not _journals(folder, ended.name):
        return Run(status, ended.name)  # pytest refused an option, before any plugin could speak
    if not done:
        _rebuild(folder, ended.name, status, verdict=shown != "errors")
        return Run(INTERRUPTED, ended.name)
    if shown == "verdict":
        _tell(folder, ended.name)
    return Run(status, ended.name)


def pages(folder: Path, run: str) -> dict[str, Path]:
    """The HTML reports of a run under its folder, by the names of their targets."""
    from cnnaudit.report import folder_name

    return {name: folder / folder_name(name) / "report.html" for name in _journals(folder, run)}


def _journals(folder: Path, run: str) -> list[str]:
    """The names of the targets that the run has a journal of."""
    from cnnaudit.plugin.results import journals

    return [name for name, _ in journals(folder, run)]


def _repeat(held: IO[bytes]) -> None:
    """Say on standard error what pytest said."""
    held.seek(0)
    sys.stderr.write(held.read().decode("utf-8", "replace"))


def _tell(folder: Path, run: str) -> None:
    """The summary of the run and where its reports are, without pytest's own lines."""
    from cnnaudit.plugin.results import journals
    from cnnaudit.report import in_color, terminal_summary

    found = dict(journals(folder, run))
    if not found:
        return
    print(terminal_summary([found[name].report() for name in sorted(found)], color=in_color(sys.stdout)))
    for page in pages(folder, run).values():
        print(f"report: {page}")


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


def _rebuild(folder: Path, run: str, status: int, verdict: bool) -> None:
    """Write the reports of a run that did not reach its end, and say what was lost."""
    from cnnaudit.plugin.results import journals, write
    from cnnaudit.report import in_color, terminal_summary

    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    print(f"\nThe run ended before its end ({how}): it was killed, or the model ended the process.", file=sys.stderr)
    reports = [journal.report() for _, journal in journals(folder, run)]
    if not reports:
        print("No check had been asked.", file=sys.stderr)
        return
    written, problems = write(reports, folder)
    if verdict:
        print(terminal_summary(reports, color=in_color(sys.stdout)))
        for page in written:
            print(f"report, rebuilt from the journal: {page}")
    for problem in problems:
        print(f"the report could not be written: {problem}", file=sys.stderr)
