"""Comparison: what is new, gone and changed, in which direction, and what fails a run."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from cnnaudit.report import Report, compare


def single(finding_of, verdict, **changes):
    return Report({"name": "demo"}, findings=(finding_of("a.b", verdict, **changes),))


def test_a_report_is_the_same_as_itself(report):
    comparison = compare(report, report)
    assert (comparison.changes, comparison.same, comparison.exit_status) == ((), 8, 0)
    assert "8 unchanged" in comparison.text()


@pytest.mark.parametrize(
    ("before", "after", "direction", "status"),
    [
        ("pass", "fail", "worse", 1),
        ("inconclusive", "fail", "worse", 1),
        ("not_applicable", "fail", "worse", 1),
        ("pass", "inconclusive", "worse", 0),
        ("fail", "pass", "better", 0),
        ("fail", "inconclusive", "better", 0),
        ("inconclusive", "pass", "better", 0),
        ("pass", "not_applicable", "neither", 0),
        ("fail", "not_applicable", "neither", 0),
    ],
)
def test_verdicts_that_change(finding_of, before, after, direction, status):
    comparison = compare(single(finding_of, before), single(finding_of, after))
    assert [(c.kind, c.direction) for c in comparison.changes] == [("changed", direction)]
    assert comparison.exit_status == status


def test_only_an_unexpected_gate_breaks_the_run(finding_of):
    good = single(finding_of, "pass")
    assert compare(good, single(finding_of, "fail", gate=False)).exit_status == 0
    assert compare(good, single(finding_of, "fail", expected="known")).exit_status == 0
    assert compare(single(finding_of, "fail"), single(finding_of, "fail")).exit_status == 0
    assert compare(single(finding_of, "fail", expected="known"), single(finding_of, "fail")).exit_status == 1


def test_new_and_gone(finding_of):
    empty, failing, passing = (
        Report({"name": "demo"}),
        single(finding_of, "fail"),
        single(finding_of, "pass"),
    )
    assert [(c.kind, c.breaks) for c in compare(empty, failing).changes] == [("new", True)]
    assert [(c.kind, c.breaks) for c in compare(empty, passing).changes] == [("new", False)]
    assert [(c.kind, c.breaks) for c in compare(failing, empty).changes] == [("gone", False)]


def test_a_number_moves_only_when_each_lies_outside_the_others_interval(finding_of):
    wide = single(finding_of, "fail", statistic=0.3, interval=(0.1, 0.5))
    inside = single(finding_of, "fail", statistic=0.4, interval=(0.39, 0.41))
    beyond = single(finding_of, "fail", statistic=0.6, interval=(0.55, 0.65))
    assert compare(wide, inside).changes == ()
    assert [c.direction for c in compare(wide, beyond).changes] == ["worse"]
    assert [c.direction for c in compare(beyond, wide).changes] == ["better"]
    assert compare(wide, beyond).exit_status == 0, "it failed before"


def test_direction_of_a_statistic_that_should_be_large(finding_of):
    high = single(finding_of, "pass", direction="at_least", statistic=0.9, interval=(0.88, 0.92), tolerance=0.5)
    low = single(finding_of, "pass", direction="at_least", statistic=0.6, interval=(0.58, 0.62), tolerance=0.5)
    assert [c.direction for c in compare(high, low).changes] == ["worse"]


def test_new_crash_breaks_the_run(make, report):
    calm = make(errors=())
    assert [(c.check, c.kind) for c in compare(calm, report).changes] == [("behavior.determinism", "crashed")]
    assert compare(calm, report).exit_status == 1
    assert compare(report, report).exit_status == 0


def test_says_what_else_differs(report, make):
    other = make("renamed", environment={**report.environment, "torch": "2.16.0", "time": "later"}, complete=False)
    remarks = " ".join(compare(report, other).remarks)
    assert "tumour-v7, then renamed" in remarks
    assert "torch 2.15.0 became 2.16.0" in remarks
    assert "later" not in remarks


def test_an_incomplete_report_is_a_warning_and_not_green(make, report):
    missing = {"selected": ["a.b", "dataset.leakage"], "recorded": ["dataset.leakage"], "missing": ["a.b"]}
    cut = make(complete=False, completeness=missing)
    for older, newer in ((report, cut), (cut, report)):
        comparison = compare(older, newer)
        assert comparison.exit_status == comparison.to_json()["exit_status"] == 1
        assert "incomplete" in comparison.warnings[0] and "a.b" in comparison.warnings[0]
        assert comparison.warnings[0] in " ".join(comparison.text().split())


def test_a_lost_check_is_a_warning_but_not_a_lost_part_or_a_new_check(make, report, finding_of):
    rest = make(findings=tuple(f for f in report.findings if f.check != "padding.blind_spot"))
    (warning,) = compare(report, rest).warnings
    assert "lost 1 check that the older one has: padding.blind_spot" in warning
    assert compare(report, rest).exit_status == 1
    assert compare(rest, report).warnings == ()
    one, two = (make(findings=(finding_of(f"a.b[{part}]"),), errors=()) for part in ("conv1", "conv2"))
    assert compare(one, two).warnings == () and compare(one, two).exit_status == 0


def test_worse_comes_first_and_no_line_is_too_wide(report, make, hostile_report, finding_of):
    turned = [finding_of(f.check, "pass" if f.verdict == "fail" else "fail") for f in report.findings]
    text = compare(report, make(findings=tuple(turned))).text()
    assert text.index("↓ worse, fails the run") < text.index("↑ better")
    for other in (text, compare(report, hostile_report).text(), compare(hostile_report, report).text(color=False)):
        assert max(cell_len(line) for line in other.splitlines()) <= 80


def test_json_is_plain(report, make):
    data = json.loads(json.dumps(compare(report, make(findings=())).to_json(), allow_nan=False))
    assert (data["schema"], data["exit_status"], data["same"]) == ("cnnaudit.comparison/1", 1, 0)
    assert {change["kind"] for change in data["changes"]} == {"gone"}
    assert data["changes"][0]["before"]["interval"] == [0.91, 0.96]


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "changed"),
    [
        (1.2e-7, 2.4e-7, 1e-4, False),  # rounding of float32, far inside the tolerance
        (0.5, 0.5 + 1e-9, 0.0, False),
        (5.0, 6.0, 0.0, True),  # layers: an exact count
        (0.001, 0.002, 0.02, True),
    ],
)
def test_rounding_of_an_exact_number_is_no_change(finding_of, before, after, tolerance, changed):
    older, newer = (
        single(finding_of, "pass", statistic=v, interval=(v, v), confidence=None, tolerance=tolerance)
        for v in (before, after)
    )
    found = compare(older, newer)
    assert bool(found.changes) == changed and found.same == (not changed)
