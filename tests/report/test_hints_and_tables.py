"""Hints come before everything general in every format; large tables stand beside the report."""

import json
import re

import pytest

from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding
from cnnaudit.report import Report, load_report, markdown, terminal_summary, write_report
from cnnaudit.report.html import page
from cnnaudit.report.sarif import sarif

HINT = "With the channels reversed, 480 of 500 images are right instead of 90."


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive", "not_applicable"])
@pytest.mark.parametrize("gate", [True, False])
def test_a_hint_comes_before_the_remedy_and_before_what_fails_nothing(finding_of, verdict, gate):
    found = finding_of("a.b", verdict, gate=gate, hint=HINT)
    report = Report({"name": "demo"}, findings=(found,))
    said = " ".join(terminal_summary([report]).split())
    texts = [said, markdown([report]), re.sub(r"<[^>]+>", "", page(report))]
    texts.append(sarif(report)["runs"][0]["results"][0]["message"]["text"])
    general = found.remedy if (verdict, gate) == ("fail", True) else found.summary
    for text in texts:
        assert HINT in text and "Hint:" in text
        assert text.index(HINT) < text.index(general)
    assert Finding.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_large_table_is_written_beside_the_report_and_linked(finding_of, tmp_path):
    rows = [[f"{k}.png", k, '=HYPERLINK("x")'] for k in range(5000)]
    table = evidence.table("Pairs", ["image", "n", "copy"], rows, file="pairs.csv")
    report = Report({"name": "demo"}, findings=(finding_of("dataset.leakage", "fail", evidence=(table,)),))
    write_report(report, tmp_path)
    lines = (tmp_path / "tables" / "dataset.leakage-pairs.csv").read_text().splitlines()
    assert len(lines) == 5001 and lines[1] == '0.png,0,"\'=HYPERLINK(""x"")"'
    text = (tmp_path / "report.html").read_text()
    assert 'href="tables/dataset.leakage-pairs.csv"' in text and "39.png" in text and "40.png" not in text
    assert load_report(tmp_path) == report
    write_report(Report({"name": "demo"}), tmp_path)
    assert not list((tmp_path / "tables").iterdir())


@pytest.mark.parametrize("file", ["../x.csv", "a/b.csv", ".csv", "x.html", "x" * 60 + ".csv"])
def test_a_table_file_cannot_leave_the_folder(file):
    with pytest.raises(ValueError, match="plain file name"):
        evidence.table("t", ["a"], [[1]], file=file)
