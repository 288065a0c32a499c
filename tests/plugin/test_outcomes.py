"""What becomes of a finding: every cell of the table of outcomes, and the exit status of the run."""

from __future__ import annotations

import pytest


def test_every_cell_of_the_table(project):
    words = ("fail", "pass", "inconclusive", "skip")
    gates = [f"demo.{word}_gate{end}" for word in (*words, "crash", "nan") for end in ("", "_expected")]
    traits = [f"demo.{word}_trait{end}" for word in (*words, "crash", "nan") for end in ("", "_expected")]
    project.suite(*gates, traits=traits)
    project.config(expected=[id for id in [*gates, *traits] if id.endswith("_expected")])
    result = project.run("suites", "--audit-config", "audit.toml", "-v")
    seen = {
        line.partition("::test_demo_")[2].partition("[")[0]: line.partition("] ")[2].split()[0]
        for line in result.outlines
        if "::test_demo_" in line and "] " in line and "%]" in line
    }
    assert seen == {
        "fail_gate": "FAILED",
        "fail_gate_expected": "XFAIL",
        "fail_trait": "TRAIT",
        "fail_trait_expected": "TRAIT",
        "pass_gate": "PASSED",
        "pass_gate_expected": "FAILED",
        "pass_trait": "PASSED",
        "pass_trait_expected": "FAILED",
        "inconclusive_gate": "INCONCLUSIVE",
        "inconclusive_gate_expected": "INCONCLUSIVE",
        "inconclusive_trait": "INCONCLUSIVE",
        "inconclusive_trait_expected": "INCONCLUSIVE",
        "skip_gate": "SKIPPED",
        "skip_gate_expected": "FAILED",
        "skip_trait": "SKIPPED",
        "skip_trait_expected": "SKIPPED",
        **{f"{word}_{kind}{end}": "ERROR" for word in ("crash", "nan") for kind in ("gate", "trait")
           for end in ("", "_expected")},
    }  # fmt: skip
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*4 failed, 4 passed, 3 skipped, 1 xfailed, 8 errors, 4 inconclusive*"])


@pytest.mark.parametrize(
    ("check", "options", "status"),
    [
        ("demo.pass", [], pytest.ExitCode.OK),
        ("demo.skip", [], pytest.ExitCode.OK),
        ("demo.inconclusive", [], pytest.ExitCode.OK),
        ("demo.inconclusive", ["--audit-strict"], pytest.ExitCode.TESTS_FAILED),
        ("demo.pass", ["--audit-strict"], pytest.ExitCode.OK),
        ("demo.fail", [], pytest.ExitCode.TESTS_FAILED),
        ("demo.crash", [], pytest.ExitCode.TESTS_FAILED),
        ("demo.nan", [], pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_exit_status(project, check, options, status):
    project.suite(check)
    project.config()
    assert project.run("suites", "--audit-config", "audit.toml", *options).ret == status
