"""The report of a run: the same in any order and number of processes, and in JUnit XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest


def normalized(report):
    """A report as text, without times and environment."""
    report["environment"] = {}
    assert report.pop("journal")["run"]
    for finding in report["findings"]:
        finding["seconds"] = 0.0
    return json.dumps(report)


def test_the_same_report_in_any_order_and_number_of_processes(project):
    project.suite("demo.draw_a", "demo.fail", "demo.draw_b+skip", traits=["demo.draw_c", "demo.fail_trait"])
    project.suite("demo.crash", "demo.draw_d", "demo.inconclusive", file="suites/test_more.py")
    files = [project.config(name, f"{name}.toml", expected=["demo.fail"]) for name in ("one", "two")]
    arguments = ["suites", "--audit-config", *files]
    runs = {
        "plain": lambda: project.run(*arguments),
        "xdist": lambda: project.fresh(*arguments, "-n", "2"),
        "backwards": lambda: project.run("suites/test_more.py", "suites/test_demo.py", *arguments[1:]),
        "random": lambda: project.run(*arguments, "-p", "randomly", "-p", "no:xdist", "-p", "no:cacheprovider"),
    }
    found = {}
    for name, run in runs.items():
        result = run()
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*10 passed, 2 xfailed, 2 errors, 2 inconclusive*"])
        found[name] = [normalized(project.report(target)) for target in ("one", "two")]
    assert found["xdist"] == found["backwards"] == found["random"] == found["plain"]
    part = project.run(*arguments, "-k", "draw_d and two")
    assert part.ret == pytest.ExitCode.OK
    (finding,) = project.report("two")["findings"]
    finding["seconds"] = 0.0
    assert json.dumps(finding) in found["plain"][1], "a selection does not change a number"


def test_junit_carries_the_numbers_and_not_the_evidence(project):
    project.suite("demo.fail", "demo.inconclusive")
    project.config()
    project.run("suites", "--audit-config", "audit.toml", "--junitxml", "junit.xml")
    cases = ElementTree.parse(project.path / "junit.xml").findall(".//testcase")
    properties = {node.get("name"): json.loads(node.get("value")) for node in cases[0].iter("property")}
    assert properties["demo.fail"] == {
        "verdict": "fail",
        "statistic": 0.5,
        "interval": [0.4, 0.6],
        "tolerance": 0.1,
        "direction": "at_most",
        "unit": "share of images",
        "n": 500,
    }
    assert cases[0].find("failure").get("message").startswith("It is a fail.")
    assert cases[1].find("skipped") is not None
    assert "large evidence" not in (project.path / "junit.xml").read_text()
    assert project.report()["findings"][0]["evidence"][0]["title"] == "large evidence"


def test_a_report_folder_that_cannot_be_written_is_refused_before_the_first_test(project):
    project.suite("demo.pass")
    project.config()
    (project.path / "taken").write_text("a file where the folder should be")
    result = project.run("suites", "--audit-config", "audit.toml", "--audit-report", "taken")
    assert "taken" in project.usage_error(result) and "--audit-report" in project.usage_error(result)
