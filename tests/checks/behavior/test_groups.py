"""Groups and their gaps against slow definitions, Simpson's paradox and the interval's coverage."""

import numpy as np
import pytest

from cnnaudit.checks.behavior._groups import Group, bounded, groups
from cnnaudit.core.statistics import generator, needed_images, proportion_interval


def slow_gap(correct, labels, members, only=None):
    """Mean over the group's images of the accuracy of their class elsewhere, less the group's accuracy."""
    inside = [i for i in np.flatnonzero(members) if only is None or labels[i] == only]
    pairs = []
    for i in inside:
        elsewhere = [j for j in np.flatnonzero(~members) if labels[j] == labels[i]]
        if elsewhere:
            pairs.append((np.mean(correct[elsewhere]), correct[i]))
    expected, own = np.mean(pairs, axis=0)
    return expected - own


def draw(n=180, seed=0):
    rng = generator("groups", seed)
    labels, site = rng.integers(3, size=n), rng.integers(2, size=n)
    return rng.random(n) < 0.7 - 0.2 * site + 0.1 * labels, labels, np.array(["a", "b"])[site]


def test_gaps_follow_the_definition():
    correct, labels, site = draw()
    found = {group.name: group for group in groups(correct, labels, {"site": site}, ("x", "y", "z"))}
    assert set(found) == {f"site = {s}{c}" for s in "ab" for c in ("", ", class x", ", class y", ", class z")}
    for s in "ab":
        assert found[f"site = {s}"].gap == pytest.approx(slow_gap(correct, labels, site == s))
        for k, name in enumerate("xyz"):
            assert found[f"site = {s}, class {name}"].gap == pytest.approx(slow_gap(correct, labels, site == s, k))


def test_a_site_with_more_of_the_hard_class_has_no_gap():
    labels = np.repeat([0, 1, 0, 1], [90, 10, 10, 90])
    site = np.repeat(["a", "b"], [100, 100])
    correct = labels == 0  # class 1 is never right, wherever it comes from
    assert [g.gap for g in groups(correct, labels, {"site": site}, ("easy", "hard"))] == [0.0] * 6


def test_numbers_are_cut_at_their_quartiles_and_missing_values_are_a_group():
    age = np.array([str(a) for a in range(100)] + [""] * 20)
    found = groups(np.ones(120, bool), np.zeros(120, int), {"age": age}, ("x",))
    assert [(g.name, g.images) for g in found] == [
        ("age = 0 to 24", 25),
        ("age = 25 to 49", 25),
        ("age = 50 to 74", 25),
        ("age = 75 to 99", 25),
        ("age = unknown", 20),
    ]


def test_a_column_of_one_value_makes_no_group():
    assert groups(np.ones(4, bool), np.array([0, 0, 1, 1]), {"camera": np.array(["c"] * 4)}, ("x", "y")) == []


def test_a_class_found_nowhere_else_is_compared_with_all_images_elsewhere():
    labels, site = np.array([0, 0, 1, 1, 1, 2]), np.array(list("aaabbb"))
    correct = np.array([True, False, False, True, False, True])
    first, second = groups(correct, labels, {"site": site}, ("x", "y", "z"))
    assert first.expected == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 1 / 2)  # class 0: two of three elsewhere are right
    assert first.weight == pytest.approx(1 / ((2 / 3) ** 2 / 3 + (1 / 3) ** 2 / 2))
    assert second.expected == pytest.approx(2 / 3 * 0 + 1 / 3 * 1 / 3)


def test_the_interval_joins_two_exact_intervals():
    group = Group("g", images=50, correct=30, expected=0.9, weight=100)
    low_a, high_a = proportion_interval(30, 50, 0.95)
    low_e, high_e = proportion_interval(90, 100, 0.95)
    low, high = group.interval(0.95)
    assert low == pytest.approx(0.3 - np.hypot(0.9 - low_e, high_a - 0.6))
    assert high == pytest.approx(0.3 + np.hypot(high_e - 0.9, 0.6 - low_a))


@pytest.mark.parametrize(("inside", "outside"), [(0.9, 0.9), (0.6, 0.9)])
def test_the_interval_covers_the_true_gap(inside, outside):
    rng = generator("coverage", inside)
    covered = 0
    for _ in range(400):
        group = Group("g", 60, int(rng.binomial(60, inside)), rng.binomial(200, outside) / 200, 200)
        low, high = group.interval(0.95)
        covered += low <= outside - inside <= high
    assert covered >= 0.94 * 400


def test_every_group_is_tested_whatever_its_size():
    found = [Group(str(n), n, n, 1.0, 1000) for n in (300, 250, 40, 12)]
    rows = bounded(found, tolerance=0.15, confidence=0.99)
    assert [row.group.images for row in rows] == [300, 250, 40, 12]
    assert [row.verdict(0.15) for row in rows] == ["inside", "inside", "inside", "undecided"]
    for row in rows:
        assert row.low == row.group.interval(1 - 0.01 / 4)[0]  # corrected for four groups
        assert row.high == row.group.interval(0.99)[1]  # a pass needs all of them: no correction


def test_an_undecided_group_says_how_many_of_its_images_would_decide():
    (row,) = bounded([Group("g", 12, 12, 1.0, 1000)], tolerance=0.15, confidence=0.99)
    assert row.needed == needed_images(1.0, 0.85, 0.99) > 12
    assert [r.needed for r in bounded([Group("g", 300, 300, 1.0, 1000)], 0.15, 0.99)] == [None]


def test_the_bounds_together_cover_the_largest_gap():
    rng, misses = generator("largest gap"), 0
    for _ in range(200):
        accuracies = np.array([0.9, 0.8, 0.9, 0.85])
        found = [Group("g", n, int(rng.binomial(n, p)), 0.9, 5000) for n, p in zip((60, 40, 25, 15), accuracies)]
        rows = bounded(found, tolerance=0.1, confidence=0.9)
        misses += not max(r.low for r in rows) <= 0.1 <= max(r.high for r in rows)
    assert misses <= 0.1 * 200
