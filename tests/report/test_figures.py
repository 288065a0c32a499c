"""Figures: what the drawing says agrees with the data, in the page's own colors."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest

from cnnaudit.core import evidence
from cnnaudit.report.figures import CSS, draw


def texts(svg: str) -> list[str]:
    import html

    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_colors_are_the_pages_own(report):
    for finding in report.findings:
        for item in finding.evidence:
            svg = draw(item)
            assert not set(CSS) & set(re.findall(r"#[0-9a-f]{6}", svg)), "a placeholder color was left"
            assert not re.search(r"(fill|stroke): #000000", svg)


def test_same_data_same_bytes_and_settings_untouched(report):
    before = dict(matplotlib.rcParams)
    for item in report.findings[1].evidence:
        assert draw(item, "a") == draw(item, "a")
    assert dict(matplotlib.rcParams) == before


def test_ids_are_prefixed_and_references_follow():
    svg = draw(evidence.curve("c", [0, 1], {"a": [0, 1]}, x_label="x", y_label="y"), "f7")
    assert all(name.startswith("f7-") for name in re.findall(r' id="([^"]*)"', svg))
    assert all(name.startswith("f7-") for name in re.findall(r"""(?:url\(#|href="#)([^")]*)""", svg))


def test_tables_images_and_unknown_kinds_are_no_drawings():
    assert draw(evidence.table("t", ["a"], [[1]])) == ""
    assert draw({"kind": "hologram", "title": "later"}) == ""


def test_bars_name_their_values_and_many_are_cut_to_the_largest():
    few = texts(draw(evidence.bars("b", {"cat": 0.25, "dog": -0.5}, label="gain")))
    assert {"cat", "dog", "0.25", "-0.5", "gain"} <= set(few)
    many = texts(draw(evidence.bars("b", {f"c{k}": k for k in range(1000)}, label="images")))
    assert "images (24 largest of 1000)" in many
    assert "c999" in many and "c3" not in many


def test_boxes_keep_the_quartiles_and_only_so_many_are_drawn():
    item = evidence.boxes("norms", {"filter 3": np.arange(5.0), "filter 1": [2.0, 2.0]}, label="norm")
    assert item["values"] == {"filter 3": [0, 1, 2, 3, 4], "filter 1": [2, 2, 2, 2, 2]}
    assert {"filter 3", "filter 1", "norm"} <= set(texts(draw(item)))
    many = texts(draw(evidence.boxes("b", {f"c{k}": [0.0, k] for k in range(30)}, label="norm")))
    assert "norm (24 of 30)" in many and "c23" in many and "c24" not in many


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (30, 2), (28, 28), (5, 5)])
def test_heat_maps_of_any_shape(shape):
    said = texts(draw(evidence.heat_map("h", np.arange(np.prod(shape)).reshape(shape), label="counts")))
    assert {"row", "column", "counts"} <= set(said)


def test_small_heat_maps_show_their_numbers():
    assert {"7", "11", "13", "17"} <= set(texts(draw(evidence.heat_map("h", [[7, 11], [13, 17]], label="n"))))


def test_constant_data_can_be_drawn():
    assert draw(evidence.null_distribution("n", [0.0] * 9, 0.0, label="x", tolerance=0.0))
    assert draw(evidence.heat_map("h", np.zeros((9, 9)), label="x"))
    assert draw(evidence.bars("b", {"a": 0.0}, label="x"))
    assert draw(evidence.curve("c", [1], {"a": [2.0]}, x_label="x", y_label="y"))


def test_dollars_are_not_mathematics():
    assert {"$\\frac{$", "in $ or $"} <= set(texts(draw(evidence.bars("b", {"$\\frac{$": 1.0}, label="in $ or $"))))
