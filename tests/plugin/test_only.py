"""`--audit-only`: the named checks are asked, and a name that no check has ends the run."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--audit-only=demo.pass"], {"demo.pass"}),
        (["--audit-only=demo.p*", "--audit-only=demo.draw"], {"demo.pass", "demo.draw"}),
        (["--audit-only=demo.*", "-n1"], {"demo.pass", "demo.fail", "demo.draw"}),
    ],
)
def test_only_the_named_checks_are_asked(project, options, asked):
    project.family("demo.pass", "demo.fail", "demo.draw")
    project.fresh("suites", "--audit-config", project.config(), *options)
    report = project.report()
    assert {finding["check"] for finding in report["findings"]} == asked and report["complete"]


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_name_that_no_check_has_is_a_usage_error_before_the_first_test(project, workers):
    project.family("demo.pass", "demo.fail")
    result = project.fresh("suites", "--audit-config", project.config(), "--audit-only=demo.pas", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR and not (project.path / "reports").exists()
    assert "--audit-only: no check matches 'demo.pas'; did you mean 'demo.pass'?" in result.stderr.str()
