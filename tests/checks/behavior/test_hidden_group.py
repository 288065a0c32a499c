"""A hidden group is found on one half, counted on the other, and told from chance by an exact test."""

import itertools

import numpy as np
import pytest

from cnnaudit.checks.behavior._slices import find, halves, least, projections, stratified_p_value
from cnnaudit.checks.behavior.hidden_group import hidden_group
from cnnaudit.checks.behavior.hidden_group_figures import differences


def planted(n=400, bad=0.7, seed=0):
    """Two classes; where the first feature is above 1 the model is wrong with a chance of `bad`, else of .05."""
    rng = np.random.default_rng(seed)
    labels, features = rng.integers(2, size=n), rng.normal(size=(n, 5))
    group = features[:, 0] > 1
    return features, labels, rng.random(n) > np.where(group, bad, 0.05), group, halves(labels, rng)


def test_halves_split_each_class():
    labels = np.repeat([0, 1, 2], [11, 20, 1])
    second = halves(labels, np.random.default_rng(0))
    assert [int(second[labels == k].sum()) for k in range(3)] == [5, 10, 0]


def test_the_group_is_found_and_its_gap_comes_from_the_other_half():
    features, labels, correct, group, second = planted()
    found = find(features, labels, correct, second)
    assert (found.members & group).sum() > 0.8 * group.sum() and found.p_value < 1e-6
    inside = correct[second & found.members]
    assert found.confirmed.images == len(inside) and found.confirmed.accuracy == inside.mean()
    assert found.confirmed.interval(0.95)[0] > 0.3


def test_the_second_half_has_no_say():
    features, labels, correct, _, second = planted()
    first = find(features, labels, correct, second)
    changed = np.where(second, ~correct, correct)
    assert (find(features, labels, changed, second).members == first.members).all()


def test_chance_is_rejected_as_often_as_the_level_says():
    low = []
    for seed in range(150):
        features, labels, correct, _, second = planted(bad=0.05, n=300, seed=seed)
        found = find(features, labels, correct, second)
        low.append(found is not None and found.p_value <= 0.05)
    assert np.mean(low) <= 0.08


def test_a_hard_class_is_no_hidden_group():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    features = rng.normal(size=(400, 3)) + 3 * labels[:, None]
    correct = rng.random(400) > np.where(labels == 1, 0.4, 0.02)
    found = find(features, labels, correct, halves(labels, rng))
    assert found is None or found.p_value > 0.01


def test_the_exact_test_counts_all_arrangements():
    wrong = np.array([1, 0, 1, 0, 0, 1, 1], dtype=bool)
    labels, members = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([1, 0, 1, 0, 1, 1, 0], dtype=bool)
    observed, count, more = (wrong & members).sum(), 0, 0
    for one in itertools.combinations(range(4), 2):
        for two in itertools.combinations(range(4, 7), 2):
            count += 1
            more += wrong[[*one, *two]].sum() >= observed
    assert stratified_p_value(wrong, labels, members) == pytest.approx(more / count)


def test_projections_keep_few_features_and_reduce_many():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(50, 30)) * np.arange(30)  # the first is constant
    found = projections([many, rng.normal(size=(50, 3))])
    assert found.shape == (50, 13) and np.isfinite(found).all()
    assert found[:, 0].std() == pytest.approx(1)


def test_features_that_differ_are_told_from_those_that_do_not():
    rng = np.random.default_rng(0)
    members = np.arange(200) < 60
    first, second = differences({"same": rng.random(200), "brighter": rng.random(200) + members}, members)
    assert (first.name, first.auc, first.significant) == ("brighter", 1.0, True)
    assert not second.significant and abs(second.auc - 0.5) < 0.15
    assert not differences({"flat": np.zeros(200)}, members)[0].significant


def test_without_an_error_the_interval_rests_on_the_smallest_group(make):
    found = hidden_group(make(np.arange(400) % 2))
    assert found.verdict == "pass" and found.statistic == 0 and f"{least(200)} images without an error" in found.summary


def test_too_few_images_are_refused(make):
    assert "needs 40 or more" in hidden_group(make(np.arange(30) % 2)).summary
    found = hidden_group(make(np.arange(45), np.zeros(45, int), k=45))
    assert found.verdict == "not_applicable" and "no class has two validation images" in found.summary
