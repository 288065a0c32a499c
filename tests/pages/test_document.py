"""A page of sections shows every part it is given, escaped."""

import numpy as np
import pytest

from cnnaudit.core.evidence import bars, images, table
from cnnaudit.pages.document import Drawing, Picture, Section, document, write_document


def line():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


PARTS = [
    bars("shares", {"a": 0.1}, label="share"),
    images("digits", np.zeros((1, 1, 4, 4)), ["<b>zero</b>"]),
    table("numbers", ["n"], [[k] for k in range(60)]),
    Drawing("a line", line, "It <rises>.", wide=True),
    Picture("a map", b"\x89PNG", "a <gray> square", "It is gray."),
]


def test_every_part_is_shown_and_every_text_escaped():
    page = document("<model>", "It & works.", [Section("One", ["A <p>."], PARTS)], "reading")
    assert page.count("<svg") == 2 and page.count("data:image/png;base64,") == 2
    assert '<td class="value">59</td>' in page  # no table is cut
    for text in (
        "&lt;model&gt;",
        "It &amp; works.",
        "A &lt;p&gt;.",
        "&lt;b&gt;zero",
        "It &lt;rises&gt;.",
        "a &lt;gray&gt;",
    ):
        assert text in page
    assert '<figure class="drawing full">' in page  # the one that is wide
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    def broken():
        raise RuntimeError("no figure")

    with pytest.raises(RuntimeError):
        write_document(tmp_path / "page.html", "t", "l", [Section("One", parts=[Drawing("x", broken)])])
    assert list(tmp_path.iterdir()) == []
    assert write_document(tmp_path / "page.html", "t", "l", []).read_text().startswith("<!DOCTYPE html>")
