"""Train told from validation."""

import numpy as np
import pytest
import torch
from asking import make, one
from sklearn.metrics import roc_auc_score

from cnnaudit.checks.dataset._two_samples import hand_made, held_out_scores, mixture_differences, told_apart
from cnnaudit.checks.dataset.split_shift import shifted_digits
from cnnaudit.target import AuditTarget


def test_the_auc_is_scikit_learn_s_and_its_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        scores = np.concatenate([rng.normal(0, 1, 60), rng.normal(1, 1, 90)]).round(1)
        second = np.repeat([False, True], [60, 90])
        found = told_apart(scores, second, np.zeros(150), 0.95)
        assert found.auc == pytest.approx(roc_auc_score(second, scores))
        held += found.low < 0.7602 < found.high  # Phi(1 / sqrt(2))
    assert held >= 181  # P(fewer | .95) = .002


def test_only_images_of_the_same_group_are_compared():
    rng = np.random.default_rng(0)
    groups, second = rng.integers(0, 4, 300), rng.random(300) < 0.4
    scores = rng.normal(size=300).round(1) + 3 * groups
    weights, values = [], []
    for group in range(4):
        a, b = scores[(groups == group) & ~second], scores[(groups == group) & second]
        wins = [(y > x) + (y == x) / 2 for x in a for y in b]
        weights.append(len(a) * len(b) / (len(a) + len(b)))
        values.append(np.mean(wins))
    assert told_apart(scores, second, groups, 0.95).auc == pytest.approx(np.average(values, weights=weights))


def test_groups_of_one_image_have_an_interval_too():
    rng = np.random.default_rng(0)
    found = told_apart(rng.normal(size=200), np.repeat([False, True], 100), np.tile(np.arange(100), 2), 0.95)
    assert 0.05 < found.high - found.low < 0.4


def test_scores_are_held_out():
    """A kernel that knows each image only by itself says nothing of the others."""
    second = np.repeat([False, True], 50)
    scores = held_out_scores(np.eye(100), second, np.random.default_rng(0))
    assert np.abs(scores).max() == 0


def test_mixtures_are_compared_class_by_class():
    first, second = np.repeat([0, 1, 2], [100, 100, 100]), np.repeat([0, 1, 2], [100, 160, 40])
    rows = mixture_differences(first, second, ("a", "b", "c"))
    assert [row[0] for row in rows] == ["b", "c"] or [row[0] for row in rows] == ["c", "b"]
    assert mixture_differences(first, first, ("a", "b", "c")) == []


def test_another_mixture_of_classes_is_named_and_is_no_shift():
    rng = np.random.default_rng(0)
    parts = {}
    for split, share in (("train", 0.8), ("validation", 0.3)):
        labels = (rng.random(400) > share).astype(int)
        images = (labels[:, None, None, None] * 0.5 + rng.uniform(0, 0.5, (400, 1, 12, 12))).astype(np.float32)
        parts[split] = (images, labels)
    model = make([0, 1]).model
    found = one("split_shift", AuditTarget.from_arrays("mixed", model, parts, ("a", "b")))
    assert found.verdict == "pass"
    assert found.locations[0].class_name in "ab"
    assert "images." in found.summary and "'" in found.summary


def test_the_feature_that_differs_is_named():
    found = one("split_shift", shifted_digits(3, gain=0.8, share=1))
    assert found.verdict == "fail"
    assert found.hint.startswith("'brightest value' is lower in validation")


def test_color_is_left_out_of_gray_images():
    assert "saturation" in hand_made(torch.rand(3, 3, 16, 16))
    assert "saturation" not in hand_made(torch.rand(3, 1, 16, 16))


def test_unequal_splits_and_one_image_a_class_are_judged():
    rng = np.random.default_rng(0)
    parts = {
        split: (rng.random((n, 1, 12, 12), np.float32), np.arange(n) % 30)
        for split, n in (("train", 500), ("validation", 30))
    }
    found = one(
        "split_shift", AuditTarget.from_arrays("uneven", make(np.arange(30)).model, parts, [str(k) for k in range(30)])
    )
    assert found.verdict in ("pass", "inconclusive")
    assert found.interval[1] - found.interval[0] > 0.15


def test_constant_images_are_no_shift():
    labels = np.arange(60) % 2
    found = one("split_shift", make(labels, images=np.full((60, 1, 12, 12), 0.5, np.float32)))
    assert found.verdict != "fail"


@pytest.mark.parametrize("labels", [np.repeat([0, 1], 2), np.zeros(19, int)])
def test_too_few_images_are_refused_with_the_key(labels):
    found = one("split_shift", make(labels, classes=2))
    assert found.verdict == "not_applicable"
    assert "data.train" in found.summary and "20 images" in found.summary
