"""A finding survives JSON and carries no number that JSON cannot hold."""

import json
import math

import pytest

from cnnaudit.core.findings import Finding, Location

FINDING = Finding(
    check="behavior.invariance[rotation]",
    target="demo",
    verdict="fail",
    summary="12 % of the predictions change.",
    gate=True,
    statistic=0.12,
    interval=(0.08, 0.17),
    confidence=0.95,
    tolerance=0.02,
    p_value=1e-9,
    n=320,
    locations=(Location(0.5, class_name="cat", pixel=(3, 4), image="a.png"),),
    evidence=({"kind": "table", "title": "t", "columns": ["a"], "rows": [[1]]},),
)


def test_a_finding_survives_json():
    assert Finding.from_json(json.loads(json.dumps(FINDING.to_json()))) == FINDING


def test_the_class_of_a_location_is_called_class_in_json():
    assert FINDING.to_json()["locations"][0]["class"] == "cat"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["statistic", "p_value", "interval", "evidence"])
def test_a_number_that_is_not_finite_is_refused_by_name(value, where):
    bad = {"interval": (0.0, value), "evidence": ({"kind": "curve", "x": [[value]]},)}.get(where, value)
    with pytest.raises(ValueError, match=where):
        Finding.from_json({**FINDING.to_json(), where: bad})


def test_a_location_without_a_finite_statistic_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Location(math.nan)


@pytest.mark.parametrize(("field", "value"), [("verdict", "maybe"), ("direction", "up")])
def test_a_choice_outside_its_list_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be one of"):
        Finding.from_json({**FINDING.to_json(), field: value})


def test_a_judged_finding_needs_a_statistic():
    with pytest.raises(ValueError, match="needs a statistic"):
        Finding(check="a.b", target="t", verdict="pass", summary="")


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match="colour"):
        Finding.from_json({**FINDING.to_json(), "colour": "red"})


def test_the_id_without_its_part():
    assert (FINDING.base_check, FINDING.family) == ("behavior.invariance", "behavior")
