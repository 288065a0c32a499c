"""The verdict of a report: counts of gates, failures with one action, one line for each kind of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnnaudit.report import Report
from cnnaudit.report.verdict import failures, first_sentence, headline, lines, status


def test_headline_counts_what_can_fail_the_run(make, report):
    assert headline(report) == "6 gates: 3 ok, 1 failed, 1 undecided, 1 expected failure. 1 check crashed."
    strict = make(environment={**report.environment, "strict": True}, errors=())
    assert headline(strict) == "6 gates: 3 ok, 2 failed, 1 expected failure."


def test_a_trait_that_could_not_be_told_makes_no_report_inconclusive(finding_of):
    trait = finding_of("fidelity.lime", "inconclusive", gate=False)
    gate = finding_of("dataset.leakage", "inconclusive")
    alone, both = (Report({"name": "demo"}, findings=found) for found in ((trait,), (trait, gate)))
    assert (status(alone), headline(alone)) == ("passed", "No gate among 1 finding: nothing could fail.")
    assert (status(both), headline(both)) == ("inconclusive", "1 gate: 1 undecided.")


def test_a_failure_has_problem_number_hint_and_one_action(make, finding_of):
    remedy = "Split by patient (e.g. by folder). Then train again."
    found = finding_of("dataset.gap", "fail", hint="12 patients stand in both.", remedy=remedy)
    (failure,) = failures(make(findings=(found,), errors=()))
    assert failure.problem == found.summary and failure.hint == found.hint
    assert failure.number.startswith("Measured 19% (15% to 24%), tolerated at most 2%")
    assert failure.action == "Split by patient (e.g. by folder)."


def test_one_cause_of_many_crashes_is_one_failure(make):
    errors = tuple({"check": f"a.b{k}", "message": "x.png is broken"} for k in range(3))
    (crash,) = failures(make(findings=(), errors=errors))
    assert (crash.kind, crash.title, crash.checks) == ("crashed", "3 checks", ("a.b0", "a.b1", "a.b2"))


def test_lines_say_which_profile_would_decide(make, finding_of):
    needed = [600] * 3 + [2500, None]
    found = [finding_of(f"a.b{k}", "inconclusive", gate=k < 2, needed_n=n) for k, n in enumerate(needed)]
    (line,) = lines(make(findings=tuple(found), errors=()))
    said = "5 undecided, 2 of them gates; 3 need --profile standard and 1 needs --profile deep"
    assert (line.kind, line.text) == ("inconclusive", said)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One.", "One."),
        ("One. Two.", "One."),
        ("Pad by 1.5 px. Or not.", "Pad by 1.5 px."),
        ("", ""),
        ("no end", "no end"),
    ],
)
def test_first_sentence(text, first):
    assert first_sentence(text) == first


def test_a_finding_that_passes_against_its_expectation_is_told_by_that(make, finding_of):
    report = make(findings=(finding_of("dataset.leakage", "pass"),), errors=())
    (failure,) = failures(replace(report))
    assert "no longer fails" in failure.problem and not failure.number and not failure.action
