"""Every cell of the table that turns a verdict and an expectation into an outcome."""

import datetime

import pytest

from cnnaudit.core.expectations import Expectation, expect, outcomes
from cnnaudit.core.findings import Finding

TODAY = datetime.date(2026, 6, 1)
EXPECTED = Expectation("family.name", "known since March")


def finding(verdict, gate=True, check="family.name"):
    return Finding(check=check, target="t", verdict=verdict, summary="a fact", gate=gate, statistic=1.0)


@pytest.mark.parametrize(
    ("verdict", "gate", "expected", "kind"),
    [
        ("fail", True, False, "failed"),
        ("fail", True, True, "expected"),
        ("fail", False, False, "trait"),
        ("fail", False, True, "trait"),
        ("pass", True, False, "passed"),
        ("pass", True, True, "failed"),
        ("pass", False, False, "passed"),
        ("pass", False, True, "failed"),
        ("inconclusive", True, False, "inconclusive"),
        ("inconclusive", True, True, "inconclusive"),
        ("inconclusive", False, False, "inconclusive"),
        ("inconclusive", False, True, "inconclusive"),
        ("not_applicable", True, False, "skipped"),
        ("not_applicable", True, True, "failed"),
        ("not_applicable", False, False, "skipped"),
        ("not_applicable", False, True, "skipped"),
    ],
)
def test_the_outcome_table(verdict, gate, expected, kind):
    entries = (EXPECTED,) if expected else ()
    assert outcomes([finding(verdict, gate)], entries, TODAY)[0].kind == kind


def test_strict_fails_what_is_inconclusive():
    assert outcomes([finding("inconclusive")], (), TODAY, strict=True)[0].kind == "failed"


def test_an_expired_entry_no_longer_counts():
    entry = Expectation("family.name", "until the new split", until=datetime.date(2026, 5, 31))
    assert outcomes([finding("fail")], (entry,), TODAY)[0].kind == "failed"
    assert [o.kind for o in outcomes([finding("pass")], (entry,), TODAY)] == ["passed"]


def test_an_entry_counts_on_its_last_day():
    entry = Expectation("family.name", "r", until=TODAY)
    assert outcomes([finding("fail")], (entry,), TODAY)[0].kind == "expected"


def test_a_broken_expectation_says_what_to_do():
    (first, *_) = outcomes([finding("pass")], (EXPECTED,), TODAY)
    assert "no longer fails: remove its [[expected]] entry" in first.message
    (first, *_) = outcomes([finding("not_applicable")], (EXPECTED,), TODAY)
    assert "moot" in first.message


def test_an_entry_for_the_whole_check_is_met_by_one_failing_part():
    parts = [finding("fail", check="family.name[a]"), finding("pass", check="family.name[b]")]
    assert [o.kind for o in outcomes(parts, (EXPECTED,), TODAY)] == ["expected", "passed"]


def test_an_entry_for_one_part_leaves_the_others_alone():
    parts = [finding("fail", check="family.name[a]"), finding("fail", check="family.name[b]")]
    entry = Expectation("family.name[a]", "known")
    assert [o.kind for o in outcomes(parts, (entry,), TODAY)] == ["failed", "expected"]


def test_findings_carry_the_reason():
    assert expect([finding("fail")], (EXPECTED,), TODAY)[0].expected == "known since March"
