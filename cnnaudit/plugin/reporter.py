"""The part of the pytest plugin that gathers what the tests of a run found, writes the reports and tells them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnnaudit.core.records import Record
from cnnaudit.plugin.heartbeat import Heartbeat
from cnnaudit.plugin.results import Results, write

if TYPE_CHECKING:
    from cnnaudit.report import Report


class Reporter:
    """Gathers, writes and tells; not in the workers of a distributed run."""

    def __init__(self, config: pytest.Config, started: str, run: str, folder: Path) -> None:
        self.config = config
        self.told_workers = (started, run, str(folder))
        self.folder = folder
        self.results = Results(run, folder)
        self.reports: list[Report] = []
        self.pages: list[Path] = []
        self.problems: list[str] = []
        self.refused: list[str] = []
        self.audits = self.terminated = False
        self.session: pytest.Session | None = None
        self.workers: list[Any] = []
        self.heartbeat = Heartbeat(self._write)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker what run it belongs to."""
        node.workerinput["cnnaudit"] = self.told_workers

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """Keep the workers, to end them with a run that is terminated."""
        self.workers.append(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep what an xdist worker refused to audit."""
        refused = getattr(node, "workeroutput", {}).get("cnnaudit", ())
        self.refused += [problem for problem in refused if problem not in self.refused]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Every worker collects all tests."""
        self.heartbeat.total = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.heartbeat.started(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.heartbeat.finished(nodeid)

    def _beat(self) -> None:
        """Tell how far the run is where no bar does: in a log, and while workers run the tests."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal and terminal.verbosity >= 0 and (self.workers or not terminal.isatty):
            self.heartbeat.begin()

    def _write(self, line: str) -> None:
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal._width_of_current_line:  # dots of workers, which `ensure_newline` does not know
            terminal.write("\n")
        terminal.write_line(line)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        self.heartbeat.total = len(session.items)
        try:
            result = yield
        finally:
            self.heartbeat.stop()
        if self.refused:
            raise pytest.UsageError("\n".join(self.refused))
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if vars(report).pop("audit_begins", False) and not self.audits:
            self.audits = True
            self._listen()
            self._beat()
        for text in vars(report).pop("audit_records", ()):
            self.results.add(Record.from_text(text))

    def _listen(self) -> None:
        """Turn SIGTERM, a CI's time limit, into an orderly end, unless the user's own code handles it."""
        default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if default and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, *_: object) -> None:
        """End the run as Ctrl-C does; a second signal, as `timeout` sends it, does not disturb that."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.terminated = True
        if self.session:
            self.session.shouldstop = "SIGTERM"  # should the audited code swallow the interruption
        raise KeyboardInterrupt("SIGTERM")

    def pytest_unconfigure(self) -> None:
        if self.audits and signal.getsignal(signal.SIGTERM) in (self._terminate, signal.SIG_IGN):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the reports, and see to it that a run which lost something is not green."""
        orderly = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        finished = orderly and not (session.shouldfail or session.shouldstop)
        if self.audits:
            self.reports = self.results.reports(finished)
        if not self.reports:
            return
        self.pages, self.problems = write(self.reports, self.folder)
        with contextlib.suppress(OSError):  # without its last line, the journal is what is read
            self.results.end(self.reports)
        if session.exitstatus == pytest.ExitCode.OK and (self.problems or any(map(_lost, self.reports))):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if exitstatus == pytest.ExitCode.INTERNAL_ERROR and terminal:  # pytest then gives no summary itself
            self.pytest_terminal_summary(terminal)
        if self.terminated:
            self._end_workers()

    def _end_workers(self) -> None:
        """End the workers at once, which else take ten seconds that a CI's time limit may not give."""
        for node in self.workers:
            if getattr(node.gateway.spec, "popen", False):
                with contextlib.suppress(OSError, KeyError):
                    os.kill(node.workerinfo["pid"], signal.SIGTERM)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.reports:
            return
        from cnnaudit.report import terminal_summary

        terminalreporter.section("audit")
        terminalreporter.write_line(terminal_summary(self.reports, color=terminalreporter.hasmarkup))
        for page in self.pages:
            terminalreporter.write_line(f"report: {self._shown(page)}")
        for problem in self.problems:
            terminalreporter.write_line(f"the report could not be written: {problem}", red=True, bold=True)

    def _shown(self, page: Path) -> Path:
        """A path as the user gave it."""
        here = self.config.invocation_params.dir
        return page.relative_to(here) if page.is_relative_to(here) else page


def _lost(report: Report) -> bool:
    """Whether a report lacks checks that were selected, has crashes, or holds nothing at all."""
    return not report.complete or bool(report.errors) or not report.findings
