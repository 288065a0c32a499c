"""The web page: self-contained, escaped, every kind of evidence drawn."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from cnnaudit.report.html import page
from cnnaudit.report.overview import index_page

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture
def read(report):
    return Reader(page(report))


def test_nothing_is_fetched_and_nothing_runs(report, hostile_report):
    for text in (page(report), page(hostile_report), index_page([report, hostile_report])):
        found = Reader(text)
        assert not {"script", "iframe", "object", "embed", "link", "form"} & set(found.tags)
        assert not [name for _, name, _ in found.attributes if name.startswith("on")]
        assert all(value.startswith("data:image/png;base64,") for value in found.values("src"))
        links = found.values("href") + found.values("xlink:href")
        assert all(re.match(r"#|data:image/png|[\w.-]+/report\.html(#[\w.-]+)?$", link) for link in links)
        assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", text)


def test_hostile_names_are_text_only(hostile_report):
    found = Reader(page(hostile_report))
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert not any("\u202e" in text or "\n@octocat" in text for text in found.text + found.values("aria-label"))


def test_every_link_within_the_page_arrives(read):
    ids = read.values("id")
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in read.values("href") + read.values("xlink:href") if link.startswith("#")} <= set(ids)


def test_verdict_comes_first_then_failures_contents_and_the_other_findings(read):
    text = " ".join("".join(read.text).split())
    order = ["tumour-v7", "6 gates: 3 ok, 1 failed, 1 undecided, 1 expected failure. 1 check crashed.", "! crashed"]
    order += ["95 change their prediction. Measured 19%", "→ Train with the variation", "1 trait"]
    order += ["1 undecided, 1 of them a gate; 1 needs --profile standard", "1 not applicable", "What the model sees"]
    order += ["What failed", "95 change their prediction. 19%", "Contents", "Failed, shown above", "How to read this"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_each_finding_has_a_card_with_its_verdict_in_words(report, read):
    text = "".join(read.text)
    for finding in report.findings:
        assert finding.check in text
        assert finding.summary in text
    for word in ("failed", "inconclusive", "expected", "trait", "passed", "not applicable", "crashed"):
        assert word in text
    assert read.values("class").count("scale") == 7


def test_all_kinds_of_evidence_are_drawn(report, read):
    text = "".join(read.text)
    for item in report.findings[1].evidence:
        assert item["title"] in text
    drawings = [item for f in report.findings for item in f.evidence if item["kind"] not in ("table", "images")]
    assert read.values("class").count("drawing") == len(drawings)
    assert len([src for src in read.values("src") if src.startswith("data:image/png")]) == 6 + 3 + 2
    for label in ("activation", "resamples", "rotation (degrees)", "share of images", "malignant", "observed: 19%"):
        assert label in text


def test_question_comes_from_the_catalogue_and_an_unknown_id_has_none(make, finding_of, monkeypatch):
    from types import SimpleNamespace

    import cnnaudit.checks

    known = {"a.known": SimpleNamespace(question="Is it known?", remedy="")}
    monkeypatch.setattr(cnnaudit.checks, "known_checks", lambda: known)
    text = page(make(findings=(finding_of("a.known[part]"), finding_of("a.retired"))))
    assert text.count("Is it known?") == 1
    assert text.count('class="question"') == 1


def test_null_distribution_shows_populations_rates_and_rule(make, finding_of, monkeypatch):
    from cnnaudit.report import html

    measured = {
        "tolerance": 0.02,
        "rule": "the 99 % point of the clean populations",
        "false_alarms": {"count": 1, "n": 200, "interval": [0.0001, 0.028]},
        "power": {"count": 20, "n": 20, "interval": [0.83, 1.0]},
        "populations": [
            {"name": "<b>shapes</b>", "kind": "clean", "statistics": [0.001, 0.004], "verdicts": {"pass": 2}},
            {"name": "copied images", "kind": "defect", "statistics": [0.3, 0.4], "verdicts": {"fail": 2}},
        ],
    }
    monkeypatch.setattr(html, "null_distribution", lambda check: measured)
    text = page(make(findings=(finding_of("a.b"),), errors=()))
    plain = " ".join("".join(Reader(text).text).split())
    assert "<b>shapes" not in text
    assert "Clean: <b>shapes</b> (2 targets, median 0.25%; 2 passed)" in plain
    assert "With the defect: copied images" in plain
    assert "False alarms: 1 of 200 targets (0.5%, 95% interval 0.01% to 2.8%)." in plain
    assert "Rule: the 99 % point of the clean populations" in plain
    monkeypatch.setattr(html, "null_distribution", lambda check: None)
    assert "Not calibrated" in page(make(findings=(finding_of("a.b"),), errors=()))
    assert "Not calibrated" not in page(make(findings=(finding_of("a.b", "not_applicable"),), errors=()))


def test_five_findings_with_all_evidence_stay_under_a_quarter_of_three_megabytes(report, make, finding_of):
    evidence = report.findings[1].evidence
    many = tuple(finding_of(f"family{k % 3}.check_{k}", "fail", evidence=evidence) for k in range(5))
    assert len(page(make(findings=many)).encode()) < 3_000_000 / 4


def test_long_tables_are_cut_and_say_so(make, finding_of):
    from cnnaudit.core import evidence
    from cnnaudit.core.findings import Location

    rows = [[f"class {k}", k] for k in range(100)]
    places = tuple(Location(k / 1000, class_name=f"name {k}") for k in range(100))
    item = finding_of("a.b", "fail", evidence=(evidence.table("All", ["class", "n"], rows),), locations=places)
    text = page(make(findings=(item,)))
    assert "60 more rows are in report.json." in text
    assert "90 more places are in report.json." in text
    assert "name 99" in text and "name 0<" not in text


def test_index_shows_every_check_on_every_target(report, make):
    other = make("other", findings=report.findings[:2], errors=())
    found = Reader(index_page([other, report]))
    text = " ".join("".join(found.text).split())
    assert "2 targets audited, 2 failing" in text
    for finding in report.findings:
        assert finding.check in text
    cells = [label for label in found.values("aria-label") if label in ("failed", "passed", "crashed", "inconclusive")]
    assert len(cells) == 1 + 1 + 1 + 1 + 3 + 1
