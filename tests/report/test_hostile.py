"""Reports from outside: whatever is in them, `report` and `compare` say it in a sentence, with exit status 4."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path

import pytest

from cnnaudit.cli import main
from cnnaudit.core.errors import ReportError
from cnnaudit.report import load_report, write_report

VALUES = [
    None, True, -1, 0, 1e300, 5e-324, -1e99, 10**25, "", "x", "\x1b[2J", "../../x.csv", "a\nb", "\ud800", [], {}, [[]],
    [None], [1, 2], {"a": 1}, {"kind": "table"}, {"kind": "images", "images": [{"png": "x"}]}, "9" * 300, "2026-13-45",
    "\u202e", [[[[[[[[[[1]]]]]]]]]], {"file": "../a.csv"}, float("inf"), "<script>alert(1)</script>",
]  # fmt: skip


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def mutated(data, rng, where):
    """The report with one or two of its values replaced, removed or doubled."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2))):
        *parents, last = rng.choice(where)
        holder = data
        try:
            for key in parents:
                holder = holder[key]
            if rng.random() < 0.2:
                del holder[last]
            elif rng.random() < 0.1 and isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            else:
                holder[last] = rng.choice(VALUES)
        except (KeyError, IndexError, TypeError):  # the first replacement took the place away
            continue
    return data


def bytes_of(data, rng):
    """The file, now and then with some of its bytes gone or exchanged."""
    content = bytearray(json.dumps(data).encode())
    if rng.random() < 0.1:
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.03 else content)


def test_200_mutations_leave_no_traceback_and_no_control_character(report, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    whole = json.loads(json.dumps(report.to_json()))
    Path("whole.json").write_text(json.dumps(whole))
    pieces = [piece for finding in whole["findings"] for piece in finding["evidence"]]
    statuses = {"report": [], "compare": []}
    for seed in range(200):
        rng = random.Random(seed)
        small = {**whole, "findings": [{**f, "evidence": []} for f in whole["findings"]]}
        small["findings"][0]["evidence"] = [pieces[seed % len(pieces)]]  # one piece each: drawing is what takes time
        where = [path for path in places(small) if path and not {"null", "values"} & set(path[:-1])]
        Path("hostile.json").write_bytes(bytes_of(mutated(small, rng, where), rng))
        for command in (["report", "hostile.json", "--output", "out"], ["compare", "whole.json", "hostile.json"]):
            status = main(command)
            said = capsys.readouterr()
            statuses[command[0]].append(status)
            assert status in ((0, 4) if command[0] == "report" else (0, 1, 4)), (seed, said.err)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", said.out + said.err), seed
            assert status != 4 or "hostile.json" in said.err, seed
    assert 60 < statuses["report"].count(4) < 180
    assert [s == 4 for s in statuses["report"]] == [s == 4 for s in statuses["compare"]]
    assert {path.name for path in tmp_path.iterdir()} <= {"whole.json", "hostile.json", "out"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"statistic": "x"}, "$.findings[0].statistic: expected a number, found text"),
        ({"p_value": 2}, "$.findings[0].p_value: expected a number from 0 to 1"),
        ({"unit": None}, "$.findings[0].unit: expected text, found null"),
        ({"n": 1.5}, "$.findings[0].n: expected a whole number"),
        ({"n": True}, "$.findings[0].n: expected a whole number"),
        ({"n": -1}, "$.findings[0].n"),
        ({"gate": "yes"}, "$.findings[0].gate: expected true or false"),
        ({"evidence": "x"}, "$.findings[0].evidence: expected a list"),
        ({"seconds": -1}, "$.findings[0].seconds"),
        ({"hint": 3}, "$.findings[0].hint"),
        ({"summary": "a\x1b[31mb"}, "$.findings[0].summary: a control character, U+001B"),
        ({"summary": "\ud800"}, "$.findings[0].summary: a control character, U+D800"),
        ({"summary": "x" * 100_001}, "$.findings[0].summary: expected text of at most"),
        ({"interval": [1]}, "$.findings[0].interval"),
        ({"statistic": 1e200}, "$.findings[0].statistic: expected a number from"),
        ({"evidence": [{"kind": "movie", "title": "x"}]}, "$.findings[0].evidence[0].kind: expected one of table"),
        (
            {"evidence": [{"kind": "table", "title": "x", "columns": ["a"], "rows": [], "file": "../x.csv"}]},
            "$.findings[0].evidence[0].file: expected a plain file name",
        ),
        (
            {"evidence": [{"kind": "table", "title": "x", "columns": ["a"], "rows": [[1], [1, 2]]}]},
            "$.findings[0].evidence[0].rows[1]: expected one value per column",
        ),
        (
            {"evidence": [{"kind": "images", "title": "x", "images": [{"png": '"><script>', "caption": ""}]}]},
            "$.findings[0].evidence[0].images[0].png: expected a PNG",
        ),
        ({"locations": [{"statistic": 1, "pixel": [1]}]}, "$.findings[0].locations[0].pixel"),
    ],
)
def test_the_place_of_a_mistake_is_told(report, tmp_path, change, path):
    data = report.to_json()
    data["findings"][0].update(change)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(data))
    with pytest.raises(ReportError) as caught:
        load_report(file)
    assert str(caught.value).startswith(f"{file}: not a cnnaudit report: {path}")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (
            {"labels": [0, 0, 1, 2]},
            "$.predictions.labels: expected positions in the 2 $.target.classes",
        ),
        ({"top1": [0, 1, 0, 9]}, "$.predictions.top1: expected positions in the 2 $.target.classes"),
        ({"top1": [0]}, "$.predictions.top1: expected one entry per label: 4, found 1"),
        ({"labels": []}, "$.predictions.labels: expected 1 to"),
        ({"confidence": [0.9, 0.6, 0.8, 1.7]}, "$.predictions.confidence[3]: expected a number from 0 to 1"),
        ({"strip": [3]}, "$.predictions.strip: expected images with a picture, of 4, found the position 3"),
        ({"pictures": [{"image": 4, "png": None}]}, "$.predictions.pictures[0].png: expected text"),
        ({"names": ["\x1b", "b", "c", "d"]}, "$.predictions.names[0]: a control character"),
        ({"more": 1}, "$.predictions: unknown field 'more'"),
        ({"missing": "no"}, "$.predictions: unknown field"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(report, tmp_path, change, path):
    data = json.loads(json.dumps(report.to_json()))
    data["predictions"].update(change)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(data))
    with pytest.raises(ReportError) as caught:
        load_report(file)
    assert str(caught.value).startswith(f"{file}: not a cnnaudit report: {path}")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("9" * 5000, "$.target.extra: expected"),
        ("1e400", "$.target.extra"),
        ("NaN", "$.target.extra"),
        ('{"a": 1, "a": 2}', "$.target.extra"),
        ("[" * 30 + "]" * 30, "the nesting is too deep"),
        ("[" * 100_000 + "]" * 100_000, "the nesting is too deep"),
        ('"\x07"', "not JSON"),
    ],
)
def test_what_json_should_not_hold_is_refused(report, tmp_path, capsys, written, path):
    data = report.to_json()
    data["target"] = {**data["target"], "extra": "HERE"}
    file = tmp_path / "report.json"
    file.write_text(json.dumps(data).replace('"HERE"', written))
    assert main(["report", str(file)]) == 4
    assert path in capsys.readouterr().err


def test_what_is_no_text_or_no_file_is_refused(report, tmp_path, capsys):
    (tmp_path / "latin.json").write_bytes(b'{"schema": "\xe9"}')
    for name, words in (("latin.json", "is not UTF-8"), ("absent.json", "cannot read"), ("a\0b", "cannot read")):
        assert main(["report", str(tmp_path / name)]) == 4
        assert words in capsys.readouterr().err
    assert main(["compare", "/dev/zero", "/dev/zero"]) == 4
    assert "not a regular file" in capsys.readouterr().err


def test_a_report_of_the_first_schema_is_still_read(report, tmp_path):
    sample = Path(__file__).parents[2] / "reports" / "sample"
    assert json.loads((sample / "report.json").read_text())["schema"].startswith("cnnaudit.report/")
    old = report.to_json()
    old["schema"] = "cnnaudit.report/1"
    for finding in old["findings"]:
        del finding["hint"]
    (tmp_path / "report.json").write_text(json.dumps(old))
    assert load_report(tmp_path) == report
    assert load_report(sample).findings


def test_what_is_written_can_be_read_whatever_the_names(hostile_report, make, tmp_path):
    for number, found in enumerate((hostile_report, make("\x1b[31m\ud800\x00 name"))):
        write_report(found, tmp_path / str(number))
        assert len(load_report(tmp_path / str(number)).findings) == len(found.findings)
    assert load_report(tmp_path / "1").name == "\\x1b[31m\\ud800\\x00 name"
