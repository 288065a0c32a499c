"""Report: its round trip, its outcomes, and what it says about the target and the machine."""

from __future__ import annotations

import getpass
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cnnaudit.core.errors import AuditError
from cnnaudit.core.expectations import Expectation
from cnnaudit.report import Report, describe, environment, load_report
from cnnaudit.target import AuditTarget


def test_json_round_trip_is_exact(report):
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_order_of_findings_does_not_show(report, make):
    assert make(findings=tuple(reversed(report.findings))) == report


def test_outcomes_follow_the_table(report):
    kinds = {outcome.finding.check: outcome.kind for outcome in report.outcomes()}
    assert kinds == {
        "behavior.invariance[rotation]": "failed",
        "behavior.claimed_accuracy": "inconclusive",
        "dataset.leakage": "expected",
        "padding.uneven_application": "trait",
        "shortcut.place": "passed",
        "dataset.constant_class": "passed",
        "padding.blind_spot": "passed",
        "dataset.metadata_shortcut": "skipped",
    }


def test_strict_run_fails_what_is_inconclusive(report, make):
    strict = make(environment={**report.environment, "strict": True})
    assert [o.kind for o in strict.outcomes() if o.finding.verdict == "inconclusive"] == ["failed"]


def test_expectation_ends_with_the_day_of_the_run_not_today(make, finding_of):
    leak = (finding_of("dataset.leakage", "fail"),)
    entry = {"check": "dataset.leakage", "reason": "known", "until": "2026-05-03"}
    target = {**make().target, "expected": [entry]}
    assert make(target=target, findings=leak).outcomes()[0].kind == "failed"  # the run was on 2026-05-04
    target["expected"] = [{**entry, "until": "2026-05-04"}]
    assert make(target=target, findings=leak).outcomes()[0].kind == "expected"
    assert make(target=target, findings=leak, environment={}).outcomes()[0].kind == "expected"  # undated: never past


def test_a_finding_that_carries_its_own_reason_stays_expected(finding_of):
    report = Report({"name": "bare"}, findings=(finding_of("a.b", "fail", expected="known"),))
    assert [outcome.kind for outcome in report.outcomes()] == ["expected"]


def test_describe_has_no_machine_path(tmp_path, monkeypatch):
    import numpy as np
    import torch

    monkeypatch.chdir(tmp_path)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    images, labels = np.zeros((6, 1, 4, 4), np.float32), np.array([0, 0, 0, 0, 1, 1])
    target = AuditTarget.from_arrays(
        "demo",
        net,
        {"validation": (images, labels)},
        classes=("a", "b"),
        source=str(tmp_path / "configs" / "audit.toml"),
        expected=(Expectation("dataset.leakage", "known"),),
    )
    said = describe(target)
    assert said["source"] == "configs/audit.toml"
    assert describe(replace(target, source="/srv/somebody/audit.toml"))["source"] == "audit.toml"
    assert said["splits"]["validation"] == {"images": 6, "per_class": {"a": 4, "b": 2}}
    assert said["expected"] == [{"check": "dataset.leakage", "reason": "known", "until": None}]
    json.dumps(said, allow_nan=False)


def test_environment_names_versions_but_no_person_and_no_path():
    said = environment("deep", 7, strict=True)
    assert (said["profile"], said["seed"], said["strict"]) == ("deep", 7, True)
    assert said["torch"] and said["scikit-learn"] and said["cnnaudit"]
    text = json.dumps(said)
    assert str(Path.home()) not in text
    assert getpass.getuser() not in [str(value) for value in said.values()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a cnnaudit report"),
        ("{", "not a cnnaudit report"),
        ("[]", "expected the schema 'cnnaudit.report/2', found 'list'"),
        ('{"schema": "other/9"}', "found 'other/9'"),
        ('{"schema": "cnnaudit.report/1"}', r"\$: the entry 'target' is missing"),
        (
            '{"schema": "cnnaudit.report/1", "target": {"name": "a"}, "environment": {}, "findings": [3]}',
            r"\$\.findings\[0\]: expected an object, found 3",
        ),
        (
            '{"schema": "cnnaudit.report/1", "target": {"name": "a"}, "environment": {}, "findings": [{"chek": 1}]}',
            "unknown field",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_words(tmp_path, content, message):
    file = tmp_path / "report.json"
    file.write_text(content)
    with pytest.raises(AuditError, match=message) as caught:
        load_report(file)
    assert str(file) in str(caught.value)


def test_missing_report_says_what_was_expected(tmp_path):
    with pytest.raises(AuditError, match=r"expected a report\.json, a journal"):
        load_report(tmp_path)
