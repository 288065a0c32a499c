"""Markdown: nothing in a name becomes markup; a step summary is cut between findings."""

from __future__ import annotations

import re

import pytest

from cnnaudit.core.errors import AuditError
from cnnaudit.report import markdown, write_step_summary
from cnnaudit.report._markdown import LIMIT, escape


def rendered(text: str) -> str:
    markdown_it = pytest.importorskip("markdown_it")
    return markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "<script>x</script>",
        "`code`",
        "*bold* _it_ __b__ ~~s~~",
        "[x](http://y)",
        "![i](z)",
        "# head",
        "- item",
        "1. one",
        "a\\|b",
        "&lt;",
        "</details>",
        "| | |",
        "> quote",
        "+ plus",
        "$a$",
        "***",
        "\\",
    ],
)
def test_escaped_text_renders_as_itself(text):
    import html

    table = rendered(f"| a | b |\n|---|---|\n| {escape(text)} | end |\n")
    cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", table)]
    assert [cell.replace("\u200b", "") for cell in cells] == [text, "end"]


def test_no_mention_no_issue_link_no_bare_address():
    shown = escape("@octocat #12 https://evil.example www.evil.example GH-3 a@b.c")
    assert not re.search(r"@\w|\\#\w|://\w|www\.\w|GH-\w", shown.replace("\\#\u200b", ""))


def test_hostile_report_has_only_our_tags(hostile_report):
    page = rendered(markdown([hostile_report, hostile_report]))
    tags = set(re.findall(r"</?(\w+)", page))
    blocks = {"p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary"}
    assert tags <= blocks | {"h1", "h2", "h3", "strong"}
    assert page.count("<td") == page.count("</td>")


def test_tells_failures_in_full(report):
    text = markdown([report])
    verdict = "6 gates: 3 ok, 1 failed, 1 undecided, 1 expected failure. 1 check crashed."
    assert text.startswith(f"## ✗ tumour-v7\n\n**{verdict}**")
    assert "**What to do:** Train with the variation" in text
    assert "**Undecided:** Undecided after 500 images; the quick profile stops there." in text
    assert "Expected: same patient, two visits" in text
    assert "<summary>3 passed, 1 not applicable</summary>" in text


def test_step_summary_needs_its_variable(report, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert write_step_summary([report]) is None


def test_step_summary_is_appended(report, tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    assert write_step_summary([report]) == path
    assert path.read_text(encoding="utf-8") == "before\n" + markdown([report])


def test_step_summary_is_cut_between_findings_and_says_so(make, finding_of, tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * 300_000)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    many = tuple(finding_of(f"a.b{k}", "fail", summary="é" * 550) for k in range(1500))
    write_step_summary([make(findings=many, predictions=None)])
    text = path.read_bytes()[300_000:].decode("utf-8")
    assert 300_000 < path.stat().st_size < 1024 * 1024
    assert path.stat().st_size > LIMIT - 5000
    told, note = text.rsplit("\n\n", 1)
    assert re.fullmatch(r"\*\*Cut here: [\d,]+ parts left out; .*\*\*\n", note)
    assert told.endswith("or withdraw the claim.")
    left = int(re.search(r"[\d,]+", note).group().replace(",", ""))
    assert text.count("### ✗") + left == 1500


def test_step_summary_that_cannot_be_written(report, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such" / "folder.md"))
    with pytest.raises(AuditError, match="GITHUB_STEP_SUMMARY"):
        write_step_summary([report])
