"""Boxes, components, trees, other learners: closed forms and slow definitions."""

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.reading.boxplots import boxes
from cnnaudit.reading.classifiers import other_learners
from cnnaudit.reading.components import principal_components, separation
from cnnaudit.reading.polarity import two_backgrounds, white_background
from cnnaudit.reading.trees import cuts, fold_numbers, grow

RNG = np.random.default_rng(0)


def test_a_box_by_hand():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    box = boxes(values[:, None], np.zeros(10, int), 2)[0]
    assert box[1] is None
    assert (box[0].q25, box[0].median, box[0].q75) == (3.25, 5.5, 7.75)
    assert (box[0].low, box[0].high, box[0].outliers) == (1, 9, 1)
    assert box[0].spread == pytest.approx(values.std())


def test_a_constant_class_is_seen():
    features = np.concatenate([np.full((5, 1), 2.7), RNG.normal(size=(5, 1))])
    found = boxes(features, np.repeat([0, 1], 5), 2)[0]
    assert found[0].constant and not found[1].constant and found[0].low == found[0].high == 2.7


def test_components_are_those_of_the_covariance():
    features = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4))
    found = principal_components(features)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    assert found.shares == pytest.approx(values[::-1] / values.sum())
    assert np.abs(np.diag(found.axes @ vectors[:, ::-1])) == pytest.approx(np.ones(4))
    assert found.scores.var(0, ddof=1) == pytest.approx(values[::-1])
    assert found.project(features) == pytest.approx(found.scores)
    assert found.scores @ found.axes + found.center == pytest.approx(features)


@pytest.mark.parametrize("features", [np.ones((5, 3)), np.ones((5, 1)), np.ones((1, 3))])
def test_constant_features_have_no_share(features):
    found = principal_components(features)
    assert not found.shares.any() and np.isfinite(found.scores).all()


def test_the_area_is_the_share_of_pairs_in_order():
    values, groups = RNG.integers(0, 6, 40).astype(float), RNG.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in values[groups] for b in values[~groups]]
    assert separation(values, groups) == pytest.approx(max(np.mean(pairs), 1 - np.mean(pairs)))
    assert separation(-values, groups) == pytest.approx(separation(values, groups))
    assert separation(values, np.zeros(40, bool)) == 0.5


def test_a_tree_finds_the_cuts_that_were_planted():
    labels = np.repeat([0, 1, 2], 40)
    x = np.select([labels == 0, labels == 1], [RNG.uniform(0, 1, 120), RNG.uniform(2, 3, 120)], RNG.uniform(5, 6, 120))
    noise = RNG.normal(size=120)
    tree = grow(np.stack([noise, x], 1), labels, ["noise", "x"], 3)
    assert tree.right == tree.n == 120 and tree.root.leaves == 3
    found = cuts(tree.root, ["a", "b", "c"])
    low, high = found[0].removeprefix("x <= ").removesuffix(": a"), found[2].removeprefix("x > ").removesuffix(": c")
    assert found[1] == f"{low} < x <= {high}: b" and 1 < float(low) < 2 and 3 < float(high) < 5
    assert all("noise" not in line for line in found)
    assert tree.root.counts == (40, 40, 40)


def test_a_tree_on_noise_stays_small():
    tree = grow(RNG.normal(size=(150, 3)), np.tile([0, 1], 75), ["a", "b", "c"], 2)
    assert tree.interval[0] <= 0.62 and tree.root.leaves <= 8


def test_a_class_without_images_keeps_its_place():
    labels = np.repeat([0, 2], 20)
    tree = grow(labels[:, None] + 0.0, labels, ["x"], 4)
    assert cuts(tree.root, ["a", "b", "c", "d"]) == ["x <= 1: a", "x > 1: c"]


@pytest.mark.parametrize("labels", [np.zeros(30, int), np.array([0] * 20 + [1] * 4), np.arange(3)])
def test_too_few_images_of_two_classes_are_refused(labels):
    with pytest.raises(UnsupportedError, match="two classes of 5 images"):
        fold_numbers(labels, 0)


def test_folds_spread_the_classes():
    labels = np.repeat([0, 1], [50, 23])
    folds = fold_numbers(labels, 1)
    assert {int((folds[labels == 0] == k).sum()) for k in range(5)} == {10}
    assert all(4 <= (folds[labels == 1] == k).sum() <= 5 for k in range(5))


def test_other_learners_see_what_is_there_and_what_is_not():
    labels = np.tile([0, 1, 2], 50)
    good = np.eye(3)[labels] + RNG.normal(0, 0.1, (150, 3))
    found = {learner.name: learner for learner in other_learners(good, labels, np.zeros(150, int))}
    assert list(found) == ["the network itself", "15 nearest neighbors", "random forest"]
    assert found["the network itself"].right == 50
    assert found["15 nearest neighbors"].accuracy == found["random forest"].accuracy == 1
    for learner in other_learners(RNG.normal(size=(150, 3)), labels, labels)[1:]:
        assert learner.interval[0] < 0.4


def test_the_background_is_told_from_the_border_or_from_the_data():
    images = torch.zeros(4, 3, 10, 10)
    images[1::2] = 1
    images[..., 3:7, 3:7] = 1 - images[..., 3:7, 3:7]
    images[0, :, 0, ::3] = 1  # noise at the border
    assert white_background(images).tolist() == [False, True, False, True]
    column = {"polarity": np.array(["dark", "dark", "bright", "bright"])}
    images[2] = images[1]
    assert white_background(images, column).tolist() == [False, False, True, True]
    assert two_backgrounds(np.array([True, False])) and not two_backgrounds(np.arange(100) < 3)
