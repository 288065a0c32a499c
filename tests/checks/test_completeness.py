"""Every registered check has a suite test, a planted defect, a clean twin and a measured null distribution."""

import ast
import inspect
from pathlib import Path

import pytest
from planting import plants_for

from cnnaudit.checks import catalogue, plants
from cnnaudit.checks.nulls import null_distribution

SUITES = Path(__file__).parent.parent.parent / "suites"
EVERY = sorted(catalogue())


def audited() -> set[str]:
    """Names of the check functions that suite tests hand to `audit`."""
    names = set()
    for path in SUITES.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit":
                names.add(ast.unparse(node.args[0]))
    return names


@pytest.mark.parametrize("id", EVERY)
def test_every_check_has_a_suite_test(id):
    assert catalogue()[id].body.__name__ in audited()


@pytest.mark.parametrize("id", EVERY)
def test_every_check_has_a_planted_defect_and_a_clean_twin(id):
    assert plants_for(id)


@pytest.mark.parametrize("id", EVERY)
def test_every_check_has_a_measured_null_distribution_of_this_tolerance(id):
    null = null_distribution(id)
    assert null is not None, f"run: python -m cnnaudit calibrate {id}"
    check = catalogue()[id]
    tolerance = check.tolerance if isinstance(check.tolerance, (int, float)) else check.tolerance[null["profile"]]
    assert null["tolerance"] == tolerance
    assert null["direction"] == check.direction


@pytest.mark.parametrize("id", EVERY)
def test_no_check_cries_on_clean_targets_or_stays_silent_on_planted_ones(id):
    null = null_distribution(id)
    assert null["false_alarms"]["count"] <= 0.01 * null["false_alarms"]["n"]
    assert null["power"]["count"] >= 0.9 * null["power"]["n"]
    assert not any(p["verdicts"].get("pass") for p in null["populations"] if p["kind"] == "defect")


@pytest.mark.parametrize("id", EVERY)
def test_every_check_explains_itself(id):
    check = catalogue()[id]
    assert check.question.endswith("?")
    assert len(check.remedy) > 20
    assert check.id.partition(".")[2] == check.body.__name__.removeprefix("check_")
    assert len(inspect.cleandoc(check.body.__doc__)) > 80


def test_nothing_is_planted_for_a_check_that_does_not_exist():
    assert {plant.check for plant in plants()} | {p.check for p in populations()} <= set(catalogue())
