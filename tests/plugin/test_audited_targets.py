"""Which targets a run audits: every file once, the reference targets of a checkout, or one of its own."""

from __future__ import annotations

import pytest


def test_every_file_is_audited_and_named(project):
    project.suite("demo.pass", "demo.fail")
    files = [project.config(name, f"{name}.toml") for name in ("one", "two", "three")]
    result = project.run("suites", "--audit-config", *files[:2], "--audit-config", files[2], "-v")
    result.stdout.fnmatch_lines(["*audit of 3 targets, profile quick, seed 0"])
    order = [line.partition("[")[2].partition("]")[0] for line in result.outlines if "::" in line and "%]" in line]
    assert order == ["one", "one", "two", "two", "three", "three"], "one target's tests stand together"
    assert project.loaded == ["one", "two", "three"], "each target is loaded once"
    assert {path.name for path in (project.path / "reports").iterdir() if path.is_dir()} == {"one", "two", "three"}


def test_a_checkout_audits_its_reference_targets(project):
    project.suite("demo.pass")
    project.config("b", "fixtures/targets/b.toml")
    project.config("a", "fixtures/targets/a.toml")
    result = project.run("suites", "-v")
    result.stdout.fnmatch_lines(["*test_demo_pass[[]a[]] PASSED*", "*test_demo_pass[[]b[]] PASSED*"])
    assert result.ret == pytest.ExitCode.OK


def test_settings_reach_the_findings(project):
    project.suite("demo.pass")
    project.config()
    arguments = ["--audit-profile", "standard", "--audit-seed", "7", "--audit-report", "out/here"]
    project.run("suites", "--audit-config", "audit.toml", *arguments)
    (finding,) = project.report(folder="out/here")["findings"]
    assert (finding["profile"], finding["seed"], finding["target"]) == ("standard", 7, "demo")


def test_a_project_may_bring_its_own_target(project):
    project.pytester.makeconftest(
        """
        import pytest
        from cnnaudit.target import AuditTarget, InputSpec

        @pytest.fixture
        def target():
            return AuditTarget("own", None, ("a", "b"), InputSpec(1, (4, 4)), {})
        """
    )
    project.suite("demo.pass", file="test_own.py")
    assert project.run("-v").ret == pytest.ExitCode.OK
    assert project.report("own")["findings"][0]["verdict"] == "pass"
