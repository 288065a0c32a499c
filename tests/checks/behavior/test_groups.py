"""Groups and their gaps against slow definitions, Simpson's paradox and the interval's coverage."""

import numpy as np
import pytest

from cnnaudit.checks.behavior._groups import Group, groups, judged
from cnnaudit.core.statistics import generator, proportion_interval


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


def test_small_groups_are_left_out_and_the_others_share_the_confidence():
    sizes = [300, 250, 40, 12]
    found = [Group(str(n), n, n, 1.0, 1000) for n in sizes]
    kept, each = judged(found, tolerance=0.15, confidence=0.99)
    assert [g.images for g in kept] == [300, 250] and each == pytest.approx(1 - 0.01 / 2)
    assert judged(found[3:], 0.15, 0.99) == ([], 0.99)


def test_whether_a_group_is_judged_does_not_depend_on_its_accuracy():
    for correct in (0, 150, 300):
        assert judged([Group("g", 300, correct, 0.5, 100)], 0.15, 0.99)[0]
