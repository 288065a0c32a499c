"""What a notebook shows: everything is escaped, the worst stands first, and the frame holds the numbers."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from cnnaudit.core.finding_list import COLUMNS, Findings
from cnnaudit.core.findings import Finding
from cnnaudit.core.notebook import MOST_ROWS, facts_html, table_html
from cnnaudit.cues import Availability, Excess, Found, Search
from cnnaudit.report import Report
from cnnaudit.target import AuditTarget

HOSTILE = "<script>alert(1)</script>\u202e"


class Balanced(HTMLParser):
    """Fails on a tag that is left open, closed twice, or a script."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        assert tag != "script"
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def well_formed(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert not parser.open and "\u202e" not in html
    return html


def finding(check, verdict, gate=True, **fields):
    return Finding(check, HOSTILE, verdict, fields.pop("summary", HOSTILE), gate=gate, statistic=0.5, **fields)


FOUND = Findings(
    [
        finding("a.passes", "pass"),
        finding("a.trait", "fail", gate=False),
        finding("a.fails", "fail", interval=(0.25, 0.75), tolerance=0.1, hint="Look here.", remedy="Mend it."),
        Finding("a.moot", "demo", "not_applicable", "No images."),
    ]
)


def test_findings_are_a_list_and_a_table_with_the_worst_first():
    shown = well_formed(FOUND._repr_html_())
    places = [shown.index(check) for check in ("a.fails", "a.trait", "a.passes", "a.moot")]
    assert places == sorted(places) and FOUND[0].check == "a.passes"
    assert "0.5 (0.25 to 0.75)" in shown and "at most 0.1" in shown and "Look here." in shown


def test_the_frame_has_a_row_per_finding_in_their_order():
    frame = FOUND.to_frame()
    assert list(frame.columns) == list(COLUMNS) and frame.check.tolist() == [found.check for found in FOUND]
    assert frame.loc[2, ["statistic", "low", "high", "tolerance"]].tolist() == [0.5, 0.25, 0.75, 0.1]
    assert frame.loc[[0, 3], "low"].isna().all() and frame.loc[3, ["statistic"]].isna().all()
    assert Findings().to_frame().empty and list(Findings().to_frame().columns) == list(COLUMNS)


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.check)
def test_a_finding_shows_its_facts_and_what_to_do_where_it_fails(one):
    shown = well_formed(one._repr_html_())
    assert one.check in shown and ("Mend it." in shown) == (one.check == "a.fails")


def test_a_report_shows_its_verdict_and_gives_its_page_and_frame():
    report = Report({"name": HOSTILE}, {}, tuple(FOUND))
    shown = well_formed(report._repr_html_())
    assert "2 gates: 1 ok, 1 failed." in shown and "a.trait" in shown
    assert report.to_html().startswith("<!DOCTYPE html>") and "<script>" not in report.to_html()
    assert sorted(report.to_frame().check) == sorted(found.check for found in FOUND)


def test_a_target_shows_what_it_is_and_a_report_can_be_made_of_it():
    images, labels = torch.rand(6, 1, 4, 4), torch.arange(6) % 2
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    target = AuditTarget.from_arrays(HOSTILE, net, {"validation": (images, labels)}, (HOSTILE, "b"))
    shown = well_formed(target._repr_html_())
    assert "4 x 4 pixels" in shown and "6 images" in shown
    report = Report.of(target, FOUND, profile="deep", seed=3)
    assert (report.name, report.environment["profile"], report.environment["seed"]) == (HOSTILE, "deep", 3)
    assert Report.from_json(report.to_json()) == report


def test_cue_tables_are_shown_by_class():
    told = Availability(np.array([0, 4]), np.array([0.5, 0.9]), np.array([0.4, 0.8]), np.array([0.6, 1.0]))
    assert well_formed(told._repr_html_()).index(">4<") < told._repr_html_().index(">0.5<")
    search = Search({1: Found(1, Excess(0.1, 0.0, 0.2, 0.125, 0.25))}, {0: HOSTILE}, 0, {}, None)
    shown = well_formed(search._repr_html_())
    assert shown.index("&lt;script") < shown.index(">0.125<")


def test_long_tables_are_cut_and_say_so():
    shown = well_formed(table_html(["a", "b"], [(k, k) for k in range(MOST_ROWS + 3)], caption="<Rows>"))
    assert "… and 3 more" in shown and "&lt;Rows&gt;" in shown and f">{MOST_ROWS - 1}<" in shown
    assert f">{MOST_ROWS}<" not in shown
    assert "empty" not in well_formed(facts_html("a", [("empty", ""), ("none", None), ("zero", 0)]))
