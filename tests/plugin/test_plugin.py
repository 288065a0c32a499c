"""The pytest plugin, run on a small suite of its own: outcomes, exit statuses, reports, and silence."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest

pytest_plugins = ["pytester"]

OK, FAILED, INTERRUPTED, INTERNAL, USAGE, NONE = range(6)

# Audit files of these tests are read by a stub, so that no run here loads torch:
# a name, what is wrong with the file or with loading it, and the expectations.
STUB = """
import datetime, tomllib
from pathlib import Path
from types import SimpleNamespace
import cnnaudit.checks.audit_file
import cnnaudit.checks.run
from cnnaudit.core.errors import ConfigError, ModelError
from cnnaudit.core.expectations import Expectation
from cnnaudit.target import AuditTarget, InputSpec

def read(path):
    raw = tomllib.loads(Path(path).read_text())
    if "problems" in raw:
        raise ConfigError(raw["problems"], str(path))
    return SimpleNamespace(**{"check_modules": (), **raw})

def load_target(path):
    raw = tomllib.loads(Path(path).read_text())
    with open("loaded.txt", "a") as log:
        log.write(raw["name"] + "\\n")
    if "unloadable" in raw:
        raise ModelError(f"{path}: {raw['unloadable']}")
    if "raises" in raw:
        raise ZeroDivisionError(raw["raises"])
    expected = tuple(Expectation(**entry) for entry in raw.get("expected", ()))
    return AuditTarget(raw["name"], None, ("a", "b"), InputSpec(1, (4, 4)), {}, expected=expected,
                       ignore=tuple(raw.get("ignore", ())), source=str(path))

cnnaudit.checks.audit_file.read, cnnaudit.checks.audit_file.load_target = read, load_target
cnnaudit.checks.run.catalogue_of = lambda target: {}
"""

CHECKS = '''
from cnnaudit.checks import check
from cnnaudit.core.errors import ModelError
from cnnaudit.core.evidence import table

NUMBERS = {"pass": (0.01, (0.0, 0.02)), "fail": (0.5, (0.4, 0.6)), "inconclusive": (0.09, (0.02, 0.2))}

def make(id, gate=True):
    """A check that finds what its id says, such as demo.fail or demo.crash; parts are joined by a plus sign."""
    def body(context):
        found = [one(context, word, many="+" in id) for word in id.split(".")[1].split("_")[0].split("+")]
        return found if "+" in id else found[0]
    def one(context, word, many):
        part = word if many else ""
        if word == "crash":
            raise ZeroDivisionError("the check divides by zero")
        if word == "nan":
            raise ModelError("the model returned NaN")
        if word == "skip":
            return context.not_applicable("there is nothing to ask", part=part)
        if word == "draw":
            value = float(context.generator().uniform(0, 0.01))
            return context.judge(value, (value, value), n=500, summary="A number was drawn.", part=part)
        statistic, interval = NUMBERS[word]
        pictures = [table("large evidence", ["a"], [[1]])]
        return context.judge(statistic, interval, n=500, summary=f"It is a {word}.", part=part, evidence=pictures)
    return check(id, question="Is it?", statistic="share", unit="share of images", direction="at_most",
                 tolerance=0.1, gate=gate, remedy="Mend it.", reference="none")(body)
'''


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder with the stub and the checks; `suite` writes a test per check id, `config` an audit file."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for place in ("checks.audit_file.read", "checks.audit_file.load_target", "checks.run.catalogue_of"):
        module, _, name = f"cnnaudit.{place}".rpartition(".")
        home = importlib.import_module(module)
        monkeypatch.setattr(home, name, getattr(home, name))  # the stub's work is undone
    pytester.syspathinsert()
    pytester.makepyfile(stub=STUB, demo=CHECKS)
    pytester.makeini("[pytest]\naddopts = -p stub -p no:randomly -p no:cacheprovider")
    return Project(pytester)


class Project:
    def __init__(self, pytester):
        self.pytester, self.path = pytester, pytester.path

    def suite(self, *ids, traits=(), file="suites/test_demo.py"):
        lines = ["from demo import make"]
        for id in [*ids, *traits]:
            name = id.replace(".", "_").replace("+", "_and_")
            lines.append(f"def test_{name}(target, audit):\n    audit(make({id!r}, gate={id not in traits}), target)")
        (self.path / file).parent.mkdir(exist_ok=True, parents=True)
        (self.path / file).write_text("\n".join(lines) + "\n")

    def family(self, *ids):
        """A suite as ours are: one test, parametrized over checks."""
        lines = ["import pytest", "from demo import make", f"CHECKS = [make(id) for id in {ids!r}]"]
        lines += ['@pytest.mark.parametrize("check", CHECKS, ids=str)', "def test_demo(target, check, audit):"]
        (self.path / "suites").mkdir()
        (self.path / "suites/test_demo.py").write_text("\n".join([*lines, "    audit(check, target)"]) + "\n")

    def config(self, name="demo", file="audit.toml", **values):
        expected = "".join(
            f"\n[[expected]]\ncheck = {check!r}\nreason = 'known since March'\n" for check in values.pop("expected", ())
        )
        lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, **values}.items()]
        (self.path / file).parent.mkdir(exist_ok=True, parents=True)
        (self.path / file).write_text("\n".join(lines) + expected)
        return file

    def run(self, *arguments):
        return self.pytester.runpytest_inprocess(*arguments)

    def fresh(self, *arguments):
        """Run in a process of its own."""
        return self.pytester.runpytest_subprocess(*arguments)

    def report(self, target="demo", folder="reports"):
        return json.loads((self.path / folder / target / "report.json").read_text())

    @property
    def loaded(self):
        log = self.path / "loaded.txt"
        return log.read_text().split() if log.exists() else []


# the table of outcomes


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
    assert result.ret == FAILED
    result.stdout.fnmatch_lines(["*4 failed, 4 passed, 3 skipped, 1 xfailed, 8 errors, 4 inconclusive*"])


@pytest.mark.parametrize(
    ("check", "options", "status"),
    [
        ("demo.pass", [], OK),
        ("demo.skip", [], OK),
        ("demo.inconclusive", [], OK),
        ("demo.inconclusive", ["--audit-strict"], FAILED),
        ("demo.pass", ["--audit-strict"], OK),
        ("demo.fail", [], FAILED),
        ("demo.crash", [], FAILED),
        ("demo.nan", [], FAILED),
    ],
)
def test_exit_status(project, check, options, status):
    project.suite(check)
    project.config()
    assert project.run("suites", "--audit-config", "audit.toml", *options).ret == status


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


# what is audited


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
    assert result.ret == OK


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
    assert project.run("-v").ret == OK
    assert project.report("own")["findings"][0]["verdict"] == "pass"


# usage errors


def usage_error(result):
    assert result.ret == USAGE
    return "\n".join([*result.errlines, *result.outlines])


def test_a_suite_without_a_target_is_a_usage_error(project):
    project.suite("demo.pass", file="tests/unit/test_suite.py")
    assert "no target to audit" in usage_error(project.run())
    assert "no target to audit" in usage_error(project.run("--collect-only"))


def test_static_problems_are_all_listed_at_collection(project):
    project.suite("demo.pass")
    project.config(problems=["model.name: missing", "input.sise: unknown key"])
    for options in ([], ["--collect-only"]):
        text = usage_error(project.run("suites", "--audit-config", "audit.toml", *options))
        assert "audit.toml: 2 problem(s)" in text and "model.name: missing" in text and "input.sise" in text
    assert project.loaded == []


def test_problems_of_all_files_are_listed(project):
    project.suite("demo.pass")
    files = [project.config(n, f"{n}.toml", problems=[f"trouble with {n}"]) for n in ("one", "two")]
    text = usage_error(project.run("suites", "--audit-config", *files))
    assert "trouble with one" in text and "trouble with two" in text


def test_loading_problems_end_the_run_before_its_first_test(project):
    project.suite("demo.pass")
    files = [
        project.config("fine", "fine.toml"),
        project.config("bad", "bad.toml", unloadable="model.weights: no such file"),
        project.config("worse", "worse.toml", raises="in the user's own code"),
    ]
    result = project.run("suites", "--audit-config", *files)
    text = usage_error(result)
    assert "bad.toml: model.weights: no such file" in text
    assert "worse.toml: loading failed: ZeroDivisionError: in the user's own code" in text
    assert "passed" not in text and "Traceback" not in text


def test_collecting_loads_nothing(project):
    project.suite("demo.pass")
    project.config(unloadable="model.weights: no such file")
    assert project.run("suites", "--audit-config", "audit.toml", "--collect-only").ret == OK
    assert project.loaded == []


def test_only_selected_targets_are_loaded(project):
    project.suite("demo.pass")
    files = [project.config("fine", "fine.toml"), project.config("bad", "bad.toml", unloadable="no weights")]
    assert project.run("suites", "--audit-config", *files, "-k", "fine").ret == OK


def test_two_targets_of_one_name_are_a_usage_error(project):
    project.suite("demo.pass")
    files = [project.config("same", "one.toml"), project.config("same", "two.toml")]
    text = usage_error(project.run("suites", "--audit-config", *files))
    assert "two.toml: model.name = 'same' is also that of one.toml" in text


def test_the_same_file_twice_is_audited_once(project):
    project.suite("demo.pass")
    project.config()
    result = project.run("suites", "--audit-config", "audit.toml", "./audit.toml")
    result.assert_outcomes(passed=1)


def test_a_config_that_no_test_uses_is_a_usage_error(project):
    project.config()
    project.pytester.makepyfile(test_plain="def test_plain(): pass")
    assert "no collected test audits a target" in usage_error(project.run("--audit-config", "audit.toml"))


def test_a_swallowed_test_path_is_a_usage_error(project):
    project.suite("demo.pass")
    project.config()
    assert "got suites: put test paths before" in usage_error(project.run("--audit-config", "audit.toml", "suites"))


@pytest.mark.parametrize(
    ("key", "problem", "workers"), [("problems", "model.name: missing", "1"), ("unloadable", "no such file", "2")]
)
def test_problems_end_a_distributed_run_likewise(project, key, problem, workers):
    project.suite("demo.pass")
    project.config(**{key: [problem]})
    text = usage_error(project.fresh("suites", "--audit-config", "audit.toml", "-n", workers))
    assert text.count(problem) == 1 and "Traceback" not in text


def test_an_unknown_profile_is_a_usage_error(project):
    assert "invalid choice: 'fast'" in usage_error(project.run("--audit-profile", "fast"))


# merely installed


def test_a_run_that_merely_has_the_plugin_is_left_alone(project):
    project.pytester.makepyfile(
        test_plain="""
        import sys, pytest

        @pytest.fixture
        def target(): return 1

        def test_own_fixture(target): assert target == 1

        @pytest.mark.parametrize("target", [2, 3])
        def test_own_parameter(target): assert target in (2, 3)

        def test_nothing_heavy():
            assert not {"torch", "numpy", "rich", "cnnaudit.report", "cnnaudit.target.config"} & set(sys.modules)
        """
    )
    project.pytester.makeini("[pytest]")
    result = project.fresh("-p", "no:randomly", "-p", "no:xdist", "-p", "no:benchmark")
    result.assert_outcomes(passed=4)
    assert "audit" not in result.stdout.str().replace("cnnaudit", "")
    assert not (project.path / "reports").exists()


# progress


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("options", "drawn"), [([], True), (["-q"], False)])
def test_bars_reach_the_terminal_although_output_is_captured(project, options, drawn):
    import pty

    (project.path / "suites").mkdir()
    (project.path / "suites" / "test_slow.py").write_text(
        "from cnnaudit.core.progress import progress\n"
        "def test_slow(target):\n    assert list(progress([1, 2], 'shifting images')) == [1, 2]\n"
    )
    project.config()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "suites", "--audit-config", "audit.toml", *options]
    environment = {**os.environ, "TERM": "xterm"}
    run = subprocess.run(command, cwd=project.path, env=environment, stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    os.write(theirs, b"end")
    seen = b""
    while not seen.endswith(b"end"):
        seen += os.read(ours, 4096)
    os.close(ours), os.close(theirs)
    assert run.returncode == OK
    assert (b"shifting images" in seen) == drawn


# reports


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
        assert result.ret == FAILED
        result.stdout.fnmatch_lines(["*10 passed, 2 xfailed, 2 errors, 2 inconclusive*"])
        found[name] = [normalized(project.report(target)) for target in ("one", "two")]
    assert found["xdist"] == found["backwards"] == found["random"] == found["plain"]
    part = project.run(*arguments, "-k", "draw_d and two")
    assert part.ret == OK
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
    assert "taken" in usage_error(result) and "--audit-report" in usage_error(result)


# cut short


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
    assert run.returncode == INTERRUPTED
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
    assert result.ret == INTERNAL
    result.stdout.fnmatch_lines(["*inconclusive  demo.inconclusive*"])
    assert project.report()["complete"] is False


def test_a_run_that_stops_at_its_first_failure_says_so(project):
    project.suite("demo.fail", "demo.pass")
    project.config()
    assert project.run("suites", "--audit-config", "audit.toml", "-x").ret == FAILED
    assert project.report()["complete"] is False
    assert project.run("suites", "--audit-config", "audit.toml").ret == FAILED
    assert project.report()["complete"] is True


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
    assert result.ret == USAGE and not (project.path / "reports").exists()
    assert "--audit-only: no check matches 'demo.pas'; did you mean 'demo.pass'?" in result.stderr.str()
