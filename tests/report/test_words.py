"""Words: numbers as people read them."""

from __future__ import annotations

import doctest
import importlib

import pytest

from cnnaudit.report.words import basis, judgement, listed, number, printable, would_decide


@pytest.mark.parametrize("name", ["_compare", "_markdown", "model", "paths", "verdict", "words", "write"])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"cnnaudit.report.{name}")).failed == 0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "", "0"),
        (0.0, "share of images", "0%"),
        (1.0, "share of images", "100%"),
        (0.0123456, "", "0.0123"),
        (-0.5, "", "-0.5"),
        (999.6, "", "1,000"),
        (1234567.0, "", "1,234,567"),
        (0.99997, "share", "99.997%"),
        (1e-9, "", "1e-09"),
        (100.0, "", "100"),
        (5.0, "layers", "5"),
    ],
)
def test_number(value, unit, text):
    assert number(value, unit) == text


def test_judgement_of_exact_and_of_sampled_numbers(finding_of):
    sampled = finding_of("a.b", "fail")
    assert judgement(sampled).startswith("Measured 19% (15% to 24%), tolerated at most 2% [500 images,")
    exact = finding_of("a.b", statistic=5.0, interval=(5.0, 5.0), unit="layers", confidence=None, p_value=None, n=1)
    assert judgement(exact) == "Measured 5 layers, tolerated at most 0.02 [1 image, exact]."


def test_basis_gives_tiny_p_values_a_bound(finding_of):
    assert basis(finding_of("a.b", p_value=1e-9)).endswith("p < 0.001")
    assert basis(finding_of("a.b", p_value=0.0314)).endswith("p = 0.031")


def test_would_decide_names_the_profile_that_looks_at_more(finding_of):
    def told(**changes):
        return would_decide(finding_of("a.b", "inconclusive", **changes))

    stops = "Undecided after 500 images; the quick profile stops there. Run with --profile "
    assert told(needed_n=1840) == f"{stops}standard."
    assert told(needed_n=2001) == f"{stops}deep."
    assert told(needed_n=1840, profile="deep") == "Undecided after 500 images; no profile looks at more."
    assert told(needed_n=1840, profile="of another version") == "About 1,840 images would decide; this run had 500."
    assert told(needed_n=9, n=5, n_unit="seeds") == "About 9 seeds would decide; this run had 5."


def test_would_decide_admits_what_nothing_decides(finding_of):
    tied = finding_of("a.b", "inconclusive", needed_n=None, statistic=0.02)
    assert would_decide(tied) == "It lies on the tolerance: more images need not decide."
    few = finding_of("a.b", "inconclusive", needed_n=None)
    assert would_decide(few) == "Undecided after 500 images; it takes more images, or a larger profile."


def test_listed():
    assert [listed(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_printable_keeps_other_scripts():
    assert printable("שלום 漢字 é\tx\u2028y") == "שלום 漢字 é x y"
