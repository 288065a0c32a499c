"""A run that ends early reports what it found."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest


def test_what_was_found_before_an_interruption_is_reported(project):
    project.suite("demo.fail", "demo.pass")
    project.pytester.makeconftest(
        """
        import time, pytest

        def pytest_runtest_call(item):
            if "pass" in item.name:
                open("reached.txt", "w").close()
                time.sleep(60)
        """
    )
    project.config()
    command = [sys.executable, "-m", "pytest", "suites", "--audit-config", "audit.toml"]
    run = subprocess.Popen(
        command,
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    try:
        patience = time.monotonic() + 60
        while not (project.path / "reached.txt").exists() and time.monotonic() < patience:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "It is a fail." in output and "The run did not finish: 1 of 2 checks not recorded" in output
    report = project.report()
    assert report["complete"] is False
    assert [finding["check"] for finding in report["findings"]] == ["demo.fail"]


def test_what_was_found_before_an_internal_error_is_reported(project):
    project.suite("demo.inconclusive", "demo.pass")
    project.pytester.makeconftest(
        """
        def pytest_runtest_logfinish(nodeid):
            raise RuntimeError("a broken plugin")
        """
    )
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["*inconclusive  demo.inconclusive*"])
    assert project.report()["complete"] is False


def test_a_run_that_stops_at_its_first_failure_says_so(project):
    project.suite("demo.fail", "demo.pass")
    project.config()
    assert project.run("suites", "--audit-config", "audit.toml", "-x").ret == pytest.ExitCode.TESTS_FAILED
    assert project.report()["complete"] is False
    assert project.run("suites", "--audit-config", "audit.toml").ret == pytest.ExitCode.TESTS_FAILED
    assert project.report()["complete"] is True
