"""Runs that are ended at any moment: what was found so far is in the report or rebuilt from the journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnaudit.cli import main
from cnnaudit.report import load_report

FILE = """
name = "demo"
"""
PLUGIN = """
import datetime, os, time, signal
from pathlib import Path
import cnnaudit.checks.audit_file, cnnaudit.checks.run
from cnnaudit.target import AuditTarget, InputSpec
from types import SimpleNamespace

cnnaudit.checks.audit_file.read = lambda path: SimpleNamespace(name="demo", check_modules=())
cnnaudit.checks.audit_file.load_target = lambda path: AuditTarget("demo", None, ("a", "b"), InputSpec(1, (4, 4)), {})
cnnaudit.checks.run.catalogue_of = lambda target: {}
"""
SUITE = """
import os, time
import pytest
from cnnaudit.checks import check

def make(id, act=lambda: None):
    def body(context):
        act()
        return context.judge(0.5, (0.4, 0.6), n=10, summary="It is half.")
    return check(id, question="Is it?", statistic="share", unit="share of images", direction="at_most", tolerance=0.1,
                 gate=False, remedy="Mend it.", reference="none")(body)

def fatal():
    open("reached.txt", "w").close()
    {act}

check_one, check_two, check_three = make("demo.one"), make("demo.two"), make("demo.three")
check_fatal = make("demo.fatal", fatal)

class Own(BaseException):
    pass

def test_a(target, audit): audit({order[0]}, target)
def test_b(target, audit): audit({order[1]}, target)
def test_c(target, audit): audit({order[2]}, target)
"""
MOMENTS = {
    "first": ("check_fatal", "check_one", "check_two"),
    "middle": ("check_one", "check_fatal", "check_two"),
    "last": ("check_one", "check_two", "check_fatal"),
}
SLEEP = "time.sleep(60)"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a suite whose check `demo.fatal` does something at its moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p stub -p no:randomly -p no:cacheprovider -p no:benchmark")
    (tmp_path / "stub.py").write_text(PLUGIN)
    (tmp_path / "audit.toml").write_text(FILE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def write(act, moment="middle"):
        (tmp_path / "test_demo.py").write_text(SUITE.format(act=act, order=MOMENTS[moment]))
        return ["test_demo.py", "--audit-config", "audit.toml"]

    return write


def run(arguments, kill=None):
    """The exit status and the output of a run, which is sent a signal when the fatal check is reached."""
    command = [sys.executable, "-m", "pytest", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        patience = time.monotonic() + 60
        while kill and not os.path.exists("reached.txt") and child.poll() is None and time.monotonic() < patience:
            time.sleep(0.02)
        if kill:
            child.send_signal(kill)
        output, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    return child.returncode, output


def found(path="reports/demo"):
    report = load_report(path)
    return [finding.check for finding in report.findings], report


def expected(moment):
    order = MOMENTS[moment]
    return sorted(check.replace("check_", "demo.") for check in order[: order.index("check_fatal")])


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_ends_in_order(project, moment):
    status, output = run(project(SLEEP, moment), signal.SIGTERM)
    checks, report = found("reports/demo/report.json")
    assert status == 2, output
    assert (checks, report.complete) == (expected(moment), False)
    assert "demo.fatal" in report.completeness["missing"] and "did not finish" in output


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("act", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_a_killed_run_is_rebuilt_from_its_journal(project, capsys, moment, act):
    os.makedirs("reports/demo")
    for name in ("report.html", "report.md", "report.sarif", "report.json"):
        Path(f"reports/demo/{name}").write_text("yesterday")
    run(project(act, moment))
    for name in ("report.html", "report.md", "report.sarif"):
        text = Path(f"reports/demo/{name}").read_text(encoding="utf-8")
        assert "yesterday" not in text and "did not finish" in text
    assert json.loads(Path("reports/demo/report.json").read_text())["complete"] is False
    checks, report = found()
    assert (checks, report.complete) == (expected(moment), False)
    assert main(["report", "reports/demo/journal.jsonl", "--output", "again"]) == 0
    assert "demo.fatal" in capsys.readouterr().out
    assert found("again")[0] == checks and not found("again")[1].complete


@pytest.mark.parametrize("act", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_worker_that_dies_loses_its_check_only(project, act):
    status, output = run([*project(act), "-n", "2"])
    checks, report = found("reports/demo/report.json")
    assert status == 1, output
    assert (checks, report.completeness["missing"]) == (["demo.one", "demo.two"], ["demo.fatal"])
    assert not report.complete


def test_sigterm_under_two_workers(project):
    status, output = run([*project(SLEEP, "last"), "-n", "2"], signal.SIGTERM)
    checks, report = found("reports/demo/report.json")
    assert status == 2, output
    assert set(checks) <= {"demo.one", "demo.two"} and not report.complete


def test_a_journal_that_was_cut_short_keeps_its_whole_lines(project):
    run(project("os._exit(0)", "last"))
    journal = Path("reports/demo/journal.jsonl").read_bytes()
    lines = journal.splitlines(keepends=True)
    assert len(lines) == 3
    Path("reports/demo/journal.jsonl").write_bytes(journal[:-20])
    checks, report = found()
    assert checks == ["demo.one"] and "demo.two" in report.completeness["missing"]


@pytest.mark.parametrize(
    "act",
    [
        "pytest.skip('no')", "pytest.xfail('no')", "pytest.fail('Timeout >1s')", "pytest.exit('no', returncode=0)",
        "raise GeneratorExit", "raise Own('no')", "raise SystemExit(0)",
    ],
)  # fmt: skip
def test_whatever_a_model_raises_is_recorded_and_the_run_goes_on(project, act):
    status, output = run(project(act))
    assert os.path.exists("reports/demo/report.json"), output
    checks, report = found("reports/demo/report.json")
    assert status == 1, output
    assert checks == ["demo.one", "demo.two"] and report.complete
    assert [error["check"] for error in report.errors] == ["demo.fatal"]


def test_the_command_audit_is_not_green_when_a_model_ends_the_process(project, tmp_path):
    arguments = project("os._exit(0)")
    (tmp_path / "go.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom cnnaudit.plugin.child import run\n"
        f"sys.exit(run({arguments!r}, Path('reports')).status)\n"
    )
    done = subprocess.run([sys.executable, "go.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "exit status 0" in done.stderr and "demo.fatal" in done.stdout
    checks, report = found("reports/demo/report.json")
    assert checks == ["demo.one"] and not report.complete


@pytest.mark.parametrize(("shown", "verdict"), [("verdict", True), ("errors", False)])
def test_a_quiet_run_prints_its_verdict_or_nothing(project, tmp_path, capfd, shown, verdict):
    from cnnaudit.plugin import child

    done = child.run(project("pass"), tmp_path / "reports", shown)
    said = capfd.readouterr()
    assert done.status == 0 and said.err == "" and "test session starts" not in said.out
    assert (f"report: {tmp_path / 'reports' / 'demo' / 'report.html'}" in said.out) == verdict == bool(said.out)
    assert list(child.pages(tmp_path / "reports", done.id)) == ["demo"]


def test_ignoring_everything_is_not_green(project, tmp_path):
    arguments = project("pass")
    (tmp_path / "stub.py").write_text(PLUGIN.replace("(4, 4)), {})", "(4, 4)), {}, ignore=('*',))"))
    status, output = run(arguments)
    assert status == 1
    assert "checks.ignore leaves out 3 selected checks: all of them" in output


def test_a_selection_of_nothing_and_a_run_without_a_terminal(project):
    arguments = project("pass")
    status, output = run([*arguments, "-k", "absent"])
    assert status == 4 and "leave none of 3 tests" in output
    status, output = run([*arguments, "-p", "no:terminal"])
    assert status == 0, output
    assert found()[1].complete
