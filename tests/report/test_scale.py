"""Positions on the line between a number and its tolerance, and the populations behind it."""

from __future__ import annotations

import pytest

from cnnaudit.report.scale import Scale, against_tolerance, populations, scale_over


def test_position_is_linear_and_held_at_the_ends():
    scale = Scale(2.0, 6.0, "")
    assert [scale.at(value) for value in (2, 3, 6, 1, 9)] == [0, 25, 100, 0, 100]


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 0.0031), (-3.2, 7.7), (0.91, 0.93), (0, 49_321), (1e-7, 3e-7), (-1, -0.5)]
)
def test_ticks_are_few_round_and_inside(low, high):
    ticks = Scale(low, high, "").ticks()
    assert 2 <= len(ticks) <= 6
    for place, label in ticks:
        value = float(label.replace(",", ""))
        assert low <= value <= high
        assert place == pytest.approx(100 * (value - low) / (high - low), abs=0.01)


@pytest.mark.parametrize("values", [[0.0], [5.0], [-2.0, -2.0], [0.0, 0.0, 0.02], [0.0, 1.0]])
@pytest.mark.parametrize("unit", ["", "share of images"])
def test_any_values_make_an_axis(values, unit):
    scale = scale_over(values, unit)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    assert scale.ticks()


def test_a_share_never_leaves_zero_to_one():
    scale = scale_over([0.0, 1.0], "share of images")
    assert (scale.low, scale.high) == (0, 1)


def test_interval_tolerance_and_good_side(finding_of):
    line = against_tolerance(finding_of("a.b", "fail"))
    assert line["tolerance"] < line["low"] < line["value"] < line["high"]
    assert line["good"] == (0.0, line["tolerance"])
    line = against_tolerance(
        finding_of("a.b", statistic=0.97, interval=(0.95, 0.99), tolerance=0.9, direction="at_least")
    )
    assert line["tolerance"] < line["low"]
    assert line["good"] == (line["tolerance"], pytest.approx(100 - line["tolerance"], abs=0.01))
    assert line["ticks"][0][1] != "0%", "an axis far from zero does not begin at zero"
    assert against_tolerance(finding_of("a.b", "not_applicable")) is None


def test_populations_count_what_lies_beyond(finding_of):
    measured = {
        "populations": [
            {"name": "clean", "kind": "clean", "statistics": [0.0, 0.004, 0.008], "verdicts": {"pass": 3}},
            {"name": "broken", "kind": "defect", "statistics": [0.03, 0.9, 0.95], "verdicts": {"fail": 3}},
            {"name": "none", "kind": "clean", "statistics": [], "verdicts": {"not_applicable": 3}},
        ]
    }
    shown = populations(measured, finding_of("a.b"))
    assert [(row["name"], row["n"], row["beyond"]) for row in shown["rows"]] == [
        ("clean", 3, ""),
        ("broken", 3, "2 beyond this scale"),
    ]
    assert all(0 <= left <= 100 and 0 < height <= 100 for row in shown["rows"] for left, height in row["bars"])
    assert 0 < shown["value"] < shown["tolerance"] < 100


def test_degenerate_populations(finding_of):
    zero = {"populations": [{"name": "clean", "kind": "clean", "statistics": [0.0] * 20}]}
    exact = finding_of("a.b", statistic=0.0, interval=(0.0, 0.0), tolerance=0.0)
    assert len(populations(zero, exact)["rows"][0]["bars"]) == 1
    assert populations(None, exact) is None
    assert populations({"populations": []}, exact) is None
