"""What a run says at the terminal: fact, number and remedy, reasons, and no traceback."""

from __future__ import annotations


def test_a_failure_says_fact_number_and_remedy_without_a_traceback(project):
    project.suite("demo.fail")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "-rf")
    result.stdout.fnmatch_lines(
        [
            "It is a fail.",
            "  demo.fail: Measured 50% (40% to 60%), tolerated at most 10% *",
            "  What to do: Mend it.",
            "FAILED suites/test_demo.py::test_demo_fail[[]demo[]] - *It is a fail.",
        ]
    )
    assert "Traceback" not in result.stdout.str() and "def test_" not in result.stdout.str()


def test_an_inconclusive_outcome_says_what_would_decide(project):
    project.suite("demo.inconclusive")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "--audit-strict")
    told = "*Undecided after 500 images; it takes more images, or a larger profile."
    result.stdout.fnmatch_lines(["It is a inconclusive.", told])


def test_a_test_of_several_findings_takes_the_worst_and_names_the_others(project):
    project.suite("demo.pass+fail+inconclusive")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml")
    result.stdout.fnmatch_lines(
        [
            "It is a fail.",
            "Also: *demo.pass+fail+inconclusive[[]inconclusive[]] inconclusive, *[[]pass[]] passed",
            "*1 failed in *",
        ]
    )
    assert [finding["check"].partition("[")[2] for finding in project.report()["findings"]] == [
        "fail]",
        "inconclusive]",
        "pass]",
    ]


def test_an_expected_failure_gives_its_reason(project):
    project.suite("demo.fail", traits=["demo.fail_trait"])
    project.config(expected=["demo.fail", "demo.fail_trait"])
    result = project.run("suites", "--audit-config", "audit.toml", "-rx")
    result.stdout.fnmatch_lines(["XFAIL *test_demo_fail[[]demo[]] - *known since March*", "*1 passed, 1 xfailed*"])


def test_a_skip_gives_its_reason_at_the_test(project):
    project.suite("demo.skip")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "-rs")
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] suites/test_demo.py:2: there is nothing to ask"])


def test_a_crash_is_an_error_and_the_other_checks_go_on(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    project.suite("demo.crash", "demo.nan", "demo.pass")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "-rE")
    result.stdout.fnmatch_lines(
        [
            "ERROR *test_demo_crash[[]demo[]] - ZeroDivisionError: the check divides by zero*",
            "ERROR *test_demo_nan[[]demo[]] - *demo.nan could not be asked of demo: the model returned NaN",
            "*1 passed, 2 errors*",
        ]
    )
    report = project.report()
    assert [error["check"] for error in report["errors"]] == ["demo.crash", "demo.nan"]
    assert "ZeroDivisionError: the check divides by zero" in report["errors"][0]["message"]
    assert [finding["check"] for finding in report["findings"]] == ["demo.pass"]


def test_a_check_that_the_file_ignores_is_skipped(project):
    project.suite("demo.fail")
    project.config(ignore=["demo.*"])
    result = project.run("suites", "--audit-config", "audit.toml", "-rs")
    result.stdout.fnmatch_lines(["*demo.fail is left out by checks.ignore*"])
