"""A small project with the plugin: its audit files are read by a stub, its checks find what their ids say."""

from __future__ import annotations

import importlib
import json

import pytest

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
    """A folder with suites and audit files, and pytest run in it."""

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

    def usage_error(self, result):
        """What a run that ended with a usage error said."""
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        return "\n".join([*result.errlines, *result.outlines])

    def report(self, target="demo", folder="reports"):
        return json.loads((self.path / folder / target / "report.json").read_text())

    @property
    def loaded(self):
        log = self.path / "loaded.txt"
        return log.read_text().split() if log.exists() else []
