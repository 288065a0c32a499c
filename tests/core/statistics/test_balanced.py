"""Accuracies on one scale, and intervals that hold for small classes."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from cnnaudit.core.statistics import balanced as scores


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_balanced_score_is_sklearns_adjusted_balanced_accuracy(classes):
    rng = np.random.default_rng(classes)
    labels, predicted = rng.integers(0, classes, (2, 200))
    expected = balanced_accuracy_score(labels, predicted, adjusted=True)
    assert scores.balanced_score(predicted, labels) == pytest.approx(expected)


def test_always_one_class_is_0_whatever_the_sizes():
    labels = np.repeat([0, 1], [400, 30])
    assert scores.balanced_score(np.zeros(430, dtype=int), labels) == 0


def test_kappa_is_sklearns():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(0, 4, 300))
    assert scores.kappa(predicted, labels) == pytest.approx(cohen_kappa_score(predicted, labels))


def test_an_outcome_never_seen_in_30_images_may_still_have_a_rate_of_a_few_percent():
    labels = np.repeat([0, 1], [400, 30])
    low, high = scores.balanced_interval(np.zeros(430, dtype=int), labels, 0.95, np.random.default_rng(0))
    assert low < 0 < high
    assert 0.03 < high < 0.12  # exact binomial: 0 of 30 is below .116 at 97.5 %


@pytest.mark.parametrize(
    ("n", "rates"), [((200, 200), (0.9, 0.7)), ((400, 30), (0.95, 0.6)), ((30, 30, 30), (1, 1, 0.9))]
)
def test_the_interval_covers_the_truth_as_often_as_it_says(n, rates):
    rng, covered, trials = np.random.default_rng(1), 0, 150
    truth = float(scores.above_chance(np.array(rates)))
    labels = np.repeat(np.arange(len(n)), n)
    for _ in range(trials):
        right = rng.random(len(labels)) < np.repeat(rates, n)
        predicted = np.where(right, labels, (labels + 1) % len(n))
        low, high = scores.balanced_interval(predicted, labels, 0.9, rng)
        covered += low <= truth <= high
    assert covered / trials > 0.83


def test_many_small_classes_do_not_bias_the_interval():
    labels = np.repeat(np.arange(100), 5)
    low, high = scores.balanced_interval(labels, labels, 0.99, np.random.default_rng(0))
    assert low > 0.96
    assert high == 1
