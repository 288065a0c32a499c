"""Audit files that name a check by its former id."""

import pytest

from cnnaudit.target.former_ids import RenamedCheckWarning, rename

FORMER = {"dataset.border_shortcut": ("shortcut.place", "share of images")}
KNOWN = ["dataset.leakage", "shortcut.place"]


def renamed(raw):
    problems = []
    rename(raw, KNOWN, FORMER, "audit.toml", problems)
    return raw, problems


def test_ignore_settings_and_expected_carry_over_with_a_message():
    raw = {
        "checks": {"ignore": ["dataset.border_*", "dataset.*"], "dataset.border_shortcut": {"gate": False}},
        "expected": [{"check": "dataset.border_shortcut", "reason": "known"}],
    }
    with pytest.warns(RenamedCheckWarning, match="dataset.border_shortcut is now shortcut.place") as told:
        found, problems = renamed(raw)
    assert found == {
        "checks": {"ignore": ["shortcut.place", "dataset.*"], "shortcut.place": {"gate": False}},
        "expected": [{"check": "shortcut.place", "reason": "known"}],
    }
    assert not problems and len(told) == 3


def test_a_tolerance_under_the_former_id_is_refused_with_the_new_unit():
    _, problems = renamed({"checks": {"dataset.border_shortcut": {"tolerance": 0.96}}})
    (problem,) = problems
    assert "is now shortcut.place" in problem and "share of images" in problem


def test_settings_under_both_ids_are_refused():
    _, problems = renamed({"checks": {"dataset.border_shortcut": {"gate": True}, "shortcut.place": {"gate": False}}})
    assert "settings of its own" in problems[0]


@pytest.mark.parametrize("raw", [{}, {"checks": 3, "expected": 4}, {"checks": {"ignore": [1]}, "expected": [2, {}]}])
def test_what_is_no_table_is_left_to_the_reader(raw):
    found, problems = renamed(raw)
    assert found == raw and not problems
