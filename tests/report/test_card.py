"""The model card: valid front matter, all findings, nothing that its texts could inject."""

from __future__ import annotations

import dataclasses

import pytest

from cnnaudit.report import load_report, write_card, write_report
from cnnaudit.report.card import card, yaml_text

yaml = pytest.importorskip("yaml", reason="PyYAML parses the front matter")
AWKWARD = [
    "yes",
    "1e3",
    "a: b",
    "- x",
    "#",
    '"',
    "'",
    "\\",
    "\\x41",
    "a\nb",
    "---",
    "é漢😀",
    "\x85\u2028\ufeff\u202e",
    "{}",
    "",
]


def front(text):
    start, matter, body = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(matter), body


@pytest.mark.parametrize("text", AWKWARD)
def test_yaml_text_reads_back_as_the_printable_text(text):
    from cnnaudit.report.words import printable

    assert yaml.safe_load(yaml_text(text)) == printable(text)


def test_front_matter_holds_task_and_accuracy(report):
    matter, _ = front(card(report))
    assert matter["pipeline_tag"] == "image-classification" and "cnnaudit" in matter["tags"]
    (entry,) = matter["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "tumour-v7" and result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"type": "private", "name": "validation images", "split": "validation"}
    assert result["metrics"] == [{"type": "accuracy", "name": "Accuracy", "value": 0.5, "verified": False}]


def test_every_finding_stands_in_it(report):
    text = card(report)
    for finding in report.findings:
        assert finding.check.replace("_", r"\_").replace("[", r"\[").replace("]", r"\]") in text
    for title in ("What fails", "Known failures", "What else was found", "Undecided", "Limits", "Looked for and not"):
        assert f"## {title}" in text
    assert "same patient, two visits" in text and "Checks that crashed: behavior.determinism" in text


def test_without_predictions_there_is_no_accuracy(make):
    matter, body = front(card(make(predictions=None)))
    assert "model-index" not in matter and "## Accuracy" not in body


def test_an_unfinished_audit_says_so(make):
    lost = {name: [] for name in ("selected", "recorded", "crashed", "ignored")} | {"missing": ["dataset.leakage"]}
    assert "did not finish; without an answer: dataset.leakage" in card(make(complete=False, completeness=lost))


def test_hostile_texts_stay_text(hostile_report):
    name = "x\n---\nlicense: mit\n" + hostile_report.name
    text = card(dataclasses.replace(hostile_report, target={**hostile_report.target, "name": name}))
    matter, body = front(text)
    assert set(matter) == {"pipeline_tag", "tags", "model-index"}
    assert "license: mit" in matter["model-index"][0]["name"]
    assert "<script" not in body and "\u202e" not in text and "\n---\n" not in body
    assert "](javascript" not in body and "@octocat" not in body


def test_the_card_is_written_beside_the_report(report, tmp_path):
    write_report(report, tmp_path)
    assert write_card(load_report(tmp_path), tmp_path).read_text(encoding="utf-8") == card(report)
    assert (tmp_path / "model-card.md").is_file()
