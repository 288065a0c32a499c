"""Mistakes end a run before its first test, with every problem named."""

from __future__ import annotations

import pytest


def test_a_suite_without_a_target_is_a_usage_error(project):
    project.suite("demo.pass", file="tests/unit/test_suite.py")
    assert "no target to audit" in project.usage_error(project.run())
    assert "no target to audit" in project.usage_error(project.run("--collect-only"))


def test_static_problems_are_all_listed_at_collection(project):
    project.suite("demo.pass")
    project.config(problems=["model.name: missing", "input.sise: unknown key"])
    for options in ([], ["--collect-only"]):
        text = project.usage_error(project.run("suites", "--audit-config", "audit.toml", *options))
        assert "audit.toml: 2 problem(s)" in text and "model.name: missing" in text and "input.sise" in text
    assert project.loaded == []


def test_problems_of_all_files_are_listed(project):
    project.suite("demo.pass")
    files = [project.config(n, f"{n}.toml", problems=[f"trouble with {n}"]) for n in ("one", "two")]
    text = project.usage_error(project.run("suites", "--audit-config", *files))
    assert "trouble with one" in text and "trouble with two" in text


def test_loading_problems_end_the_run_before_its_first_test(project):
    project.suite("demo.pass")
    files = [
        project.config("fine", "fine.toml"),
        project.config("bad", "bad.toml", unloadable="model.weights: no such file"),
        project.config("worse", "worse.toml", raises="in the user's own code"),
    ]
    result = project.run("suites", "--audit-config", *files)
    text = project.usage_error(result)
    assert "bad.toml: model.weights: no such file" in text
    assert "worse.toml: loading failed: ZeroDivisionError: in the user's own code" in text
    assert "passed" not in text and "Traceback" not in text


def test_collecting_loads_nothing(project):
    project.suite("demo.pass")
    project.config(unloadable="model.weights: no such file")
    assert project.run("suites", "--audit-config", "audit.toml", "--collect-only").ret == pytest.ExitCode.OK
    assert project.loaded == []


def test_only_selected_targets_are_loaded(project):
    project.suite("demo.pass")
    files = [project.config("fine", "fine.toml"), project.config("bad", "bad.toml", unloadable="no weights")]
    assert project.run("suites", "--audit-config", *files, "-k", "fine").ret == pytest.ExitCode.OK


def test_two_targets_of_one_name_are_a_usage_error(project):
    project.suite("demo.pass")
    files = [project.config("same", "one.toml"), project.config("same", "two.toml")]
    text = project.usage_error(project.run("suites", "--audit-config", *files))
    assert "two.toml: model.name = 'same' is also that of one.toml" in text


def test_the_same_file_twice_is_audited_once(project):
    project.suite("demo.pass")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "./audit.toml")
    result.assert_outcomes(passed=1)


def test_a_config_that_no_test_uses_is_a_usage_error(project):
    project.config()
    project.pytester.makepyfile(test_plain="def test_plain(): pass")
    assert "no collected test audits a target" in project.usage_error(project.run("--audit-config", "audit.toml"))


def test_a_swallowed_test_path_is_a_usage_error(project):
    project.suite("demo.pass")
    project.config()
    assert "got suites: put test paths before" in project.usage_error(
        project.run("--audit-config", "audit.toml", "suites")
    )


@pytest.mark.parametrize(
    ("key", "problem", "workers"), [("problems", "model.name: missing", "1"), ("unloadable", "no such file", "2")]
)
def test_problems_end_a_distributed_run_likewise(project, key, problem, workers):
    project.suite("demo.pass")
    project.config(**{key: [problem]})
    text = project.usage_error(project.fresh("suites", "--audit-config", "audit.toml", "-n", workers))
    assert text.count(problem) == 1 and "Traceback" not in text


def test_an_unknown_profile_is_a_usage_error(project):
    assert "invalid choice: 'fast'" in project.usage_error(project.run("--audit-profile", "fast"))
