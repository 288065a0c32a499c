"""The terminal summary: never too wide, worst first, short."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from cnnaudit.report import Report, in_color, terminal_summary


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(report, hostile_report, make, width):
    for reports in ([report], [hostile_report], [hostile_report, report, make("x" * 200)]):
        text = terminal_summary(reports, width=width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)


def test_a_failure_has_its_sentence_number_tolerance_and_remedy(report):
    text = " ".join(terminal_summary([report]).split())
    assert "✗ failed behavior.invariance[rotation] Of 500 images, 95 change their prediction." in text
    assert "Measured 19% (15% to 24%), tolerated at most 2% [500 images, 99.7% interval, p < 0.001]." in text
    assert "→ Train with the variation that the file claims, or withdraw the claim." in text


def test_worst_comes_first_and_passes_are_only_counted(report):
    text = terminal_summary([report])
    lines = ["◆ 1 trait: padding.uneven_application", "? 1 undecided, 1 of them a gate; 1 needs --profile standard"]
    lines += ["≈ 1 expected failure: dataset.leakage", "– 1 not applicable", "✓ 3 passed"]
    order = ["8 gates", "! crashed", "✗ failed", *lines, "? inconclusive"]
    order[0] = "6 gates: 3 ok, 1 failed, 1 undecided, 1 expected failure. 1 check crashed."
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "padding.blind_spot" not in text


def test_inconclusive_says_what_would_decide(report):
    text = " ".join(terminal_summary([report]).split())
    assert "Undecided after 500 images; the quick profile stops there. Run with --profile standard." in text


def test_expected_gives_its_reason(report):
    assert "same patient, two visits; kept on purpose until the new split" in terminal_summary([report])


def test_expectation_that_no_longer_fails_is_told(make, finding_of):
    report = make(findings=(finding_of("dataset.leakage", "pass"),), errors=())
    text = " ".join(terminal_summary([report]).split())
    assert "failed dataset.leakage dataset.leakage is expected to fail but no longer fails" in text
    assert "tolerated" not in text


def test_nine_targets_stay_short(make, finding_of):
    verdicts = ["pass"] * 13 + ["fail"] * 3 + ["inconclusive"] * 2 + ["not_applicable"] * 2
    reports = []
    for k in range(9):
        findings = [
            finding_of(f"family.check_number_{i}", verdict, gate=False, target=f"target-{k}")
            for i, verdict in enumerate(verdicts)
        ]
        findings += [finding_of("dataset.leakage", "fail"), finding_of("behavior.x", "fail" if k == 4 else "pass")]
        reports.append(make(f"shapes-4.0-rotation-noise-replicate-{k}", findings=tuple(findings), errors=()))
    text = terminal_summary(reports)
    lines = text.splitlines()
    assert len(lines) < 100
    assert lines[0] == "9 targets audited, 1 failing"
    assert lines[3].split()[:2] == ["✗", "shapes-4.0-rotation-noise-replicate-4"]
    assert all(cell_len(line) <= 80 for line in lines)


def test_targets_where_all_is_well_take_one_line(make, finding_of):
    good = [make(f"good-{k}", findings=(finding_of("a.b", "pass"),), errors=()) for k in range(3)]
    assert len(terminal_summary(good).splitlines()) == 6


def test_color_only_on_request(report):
    assert "\x1b[" not in terminal_summary([report])
    colored = terminal_summary([report], color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored).replace(" ", "") == terminal_summary([report]).replace(" ", "")


def test_nothing_audited_is_not_called_a_pass():
    assert "Nothing was audited." in terminal_summary([Report({"name": "empty"})])
    assert "interrupted" in terminal_summary([Report({"name": "empty"}, complete=False)])
    assert terminal_summary([]) == ""


def test_checks_that_crashed_for_one_reason_are_told_once():
    errors = tuple({"check": f"dataset.check{n}", "message": "a.jpg: the image is broken"} for n in range(12))
    text = terminal_summary([Report({"name": "demo"}, {}, (), errors)])
    assert text.count("a.jpg") == 1
    assert "12 checks" in text and "dataset.check11" in text


def test_undecided_traits_are_named_together(report, finding_of):
    parts = [finding_of(f"fidelity.deletion[{name}]", "inconclusive", gate=False) for name in ("lime", "cam")]
    shown = terminal_summary([replace(report, findings=(*report.findings, *parts))])
    assert "? 3 undecided, 1 of them a gate; 3 need --profile standard: behavior.claimed_" in shown
    assert "inconclusive  fidelity.deletion" not in shown


@pytest.mark.parametrize(
    ("terminal", "variable", "colored"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colors_go_to_terminals_unless_no_color_is_set(monkeypatch, terminal, variable, colored):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    monkeypatch.setenv("NO_COLOR", variable)
    assert in_color(Stream()) is colored
