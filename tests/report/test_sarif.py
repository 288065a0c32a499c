"""SARIF: the structure that the standard asks for, stable fingerprints, levels and suppressions."""

from __future__ import annotations

import json

import pytest

from cnnaudit.report.sarif import sarif

TEXT = {"type": "string", "minLength": 1}
MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": TEXT}, "additionalProperties": False}
LEVEL = {"enum": ["none", "note", "warning", "error"]}

# the constraints of SARIF 2.1.0 (OASIS standard, sections 3.13 to 3.58) on what we write
SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "automationDetails": {"type": "object", "properties": {"id": TEXT}, "additionalProperties": False},
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "uniqueItems": False,
                                    "items": {
                                        "type": "object",
                                        "required": ["message"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "level": LEVEL,
                                            "message": MESSAGE,
                                            "associatedRule": {"type": "object", "minProperties": 1},
                                        },
                                    },
                                },
                            },
                        },
                    },
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": TEXT,
                                    "version": TEXT,
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": TEXT,
                                                "shortDescription": MESSAGE,
                                                "fullDescription": MESSAGE,
                                                "help": MESSAGE,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": LEVEL},
                                                    "additionalProperties": False,
                                                },
                                                "properties": {
                                                    "type": "object",
                                                    "properties": {
                                                        "tags": {"type": "array", "uniqueItems": True, "items": TEXT}
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": TEXT,
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": LEVEL,
                                "message": MESSAGE,
                                "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
                                "suppressions": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "status": {"enum": ["accepted", "underReview", "rejected"]},
                                            "justification": TEXT,
                                        },
                                    },
                                },
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "logicalLocations": {
                                                "type": "array",
                                                "uniqueItems": True,
                                                "items": {
                                                    "type": "object",
                                                    "properties": {"fullyQualifiedName": TEXT},
                                                    "additionalProperties": False,
                                                },
                                            },
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "pattern": "^[A-Za-z0-9._~%/-]+$",
                                                            },
                                                            "uriBaseId": TEXT,
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}},
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def results(report):
    return {result["partialFingerprints"]["cnnaudit/v1"]: result for result in sarif(report)["runs"][0]["results"]}


def by_check(report):
    found = sarif(report)["runs"][0]["results"]
    return {result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: result for result in found}


def test_keeps_to_the_standard(report, hostile_report, make):
    jsonschema = pytest.importorskip("jsonschema")
    for one in (report, hostile_report, make(findings=(), errors=())):
        log = json.loads(json.dumps(sarif(one)))
        jsonschema.Draft202012Validator(SCHEMA).validate(log)
        rules = [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]]
        assert len(set(rules)) == len(rules)
        for result in log["runs"][0]["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]


def test_levels_follow_the_outcome_and_passes_are_left_out(report):
    assert {check: result["level"] for check, result in by_check(report).items()} == {
        "behavior.invariance[rotation]": "error",
        "behavior.claimed_accuracy": "warning",
        "dataset.leakage": "error",
        "padding.uneven_application": "note",
    }


def test_expected_failure_is_suppressed_with_its_reason(report):
    found = by_check(report)
    assert found["dataset.leakage"]["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "same patient, two visits; kept on purpose until the new split",
        }
    ]
    assert all("suppressions" not in result for check, result in found.items() if check != "dataset.leakage")


def test_expectation_that_no_longer_fails_is_an_open_error(make, finding_of):
    found = by_check(make(findings=(finding_of("dataset.leakage", "pass"),)))
    assert found["dataset.leakage"]["level"] == "error"
    assert "suppressions" not in found["dataset.leakage"]
    assert "no longer fails" in found["dataset.leakage"]["message"]["text"]


def test_fingerprints_depend_on_check_and_target_not_on_numbers(make, finding_of):
    one = make(findings=(finding_of("a.b", "fail"),))
    other = make(
        findings=(finding_of("a.b", "fail", statistic=0.7, interval=(0.6, 0.8), summary="Other.", n=9, seed=3),)
    )
    assert set(results(one)) == set(results(other))
    assert not set(results(one)) & set(results(make("another", findings=(finding_of("a.b", "fail"),))))
    assert not set(results(one)) & set(results(make(findings=(finding_of("a.b[part]", "fail"),))))


def test_location_is_the_audit_file_relative(report, make):
    def uri(file):
        target = {**report.target, "source": file}
        place = sarif(make(target=target))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
        return place["artifactLocation"]["uri"]

    assert uri("configs/audit.toml") == "configs/audit.toml"
    assert uri("") == "audit.toml"
    assert uri("/abs/../audit file.toml") == "abs/audit%20file.toml"


def test_crash_is_a_notification_and_the_run_unsuccessful(report, make):
    run = sarif(report)["runs"][0]["invocations"][0]
    assert run["executionSuccessful"] is False
    assert "behavior.determinism crashed: RuntimeError" in run["toolExecutionNotifications"][0]["message"]["text"]
    assert sarif(make(errors=()))["runs"][0]["invocations"][0]["executionSuccessful"] is True
    assert sarif(make(errors=(), complete=False))["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_messages_hold_no_placeholder_and_no_link(hostile_report):
    for result in sarif(hostile_report)["runs"][0]["results"]:
        assert not set("{}\n") & set(result["message"]["text"])
        assert "](" not in result["message"]["text"]
