"""Every class is judged: a model that forgets one never passes, whatever the mixture."""

from collections import Counter

import numpy as np
import pytest

from cnnaudit.checks.behavior.collapsed_classes import balances, collapsed_classes, predicting
from cnnaudit.core.statistics import gate_confidence, generator, proportion_interval

CONFIDENCE = gate_confidence(16)


def judge(labels, predicted, k=None):
    return collapsed_classes(predicting(labels, predicted, k or int(labels.max()) + 1), confidence=CONFIDENCE)


def test_ratio_and_bounds_are_those_of_the_share_of_predictions():
    labels, predicted = np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [90, 10])
    zero, one, others = balances(labels, predicted, 0.99)
    assert (zero.ratio, one.ratio, others.ratio) == (90 / 80, 0.5, 0.5)
    assert one.low == pytest.approx(proportion_interval(10, 100, 0.99)[0] / 0.2)
    assert one.high == pytest.approx(proportion_interval(10, 100, 1 - 0.01 / 3)[1] / 0.2)
    assert one.p_value(0.5) == pytest.approx(0.583, abs=1e-3)  # P(X <= 10), X ~ Binomial(100, 0.1)


def test_the_bounds_together_cover_the_least_ratio():
    rng, misses = generator("least ratio"), 0
    shares, asked = np.array([0.5, 0.3, 0.12, 0.08]), np.array([0.6, 0.31, 0.06, 0.03])  # ratios down to .375
    for _ in range(200):
        labels = np.repeat(np.arange(4), (shares * 500).astype(int))
        *each, _ = balances(labels, rng.choice(4, 500, p=asked), 0.9)
        misses += not min(b.low for b in each) <= 0.375 <= min(b.high for b in each)
    assert misses <= 0.1 * 200


def test_where_one_class_is_always_predicted_the_others_together_have_none():
    labels = np.arange(100) % 50
    *_, always = balances(labels, np.full(100, 7), 0.99)
    assert always.ratio == 0 and always.present == 98 and always.high < 0.1
    assert balances(labels, labels, 0.99)[-1].ratio == 1.0


def test_a_class_never_predicted_fails_and_is_named():
    labels = np.arange(500) % 5
    found = judge(labels, np.where(labels == 3, 4, labels))
    assert found.verdict == "fail"
    assert found.summary == "Predicted least often for its images is class 3: 0 times for 100."
    assert found.locations[0].class_name == "class 3" and found.locations[0].statistic == 0


def test_many_classes_with_few_images_are_not_judged():
    labels = np.arange(500) % 250
    found = judge(labels, labels)
    assert found.verdict == "not_applicable" and "none of the 250 classes has enough of the 500" in found.summary


def test_one_class_always_predicted_fails_among_any_number_of_classes():
    labels = np.arange(500) % 250
    found = judge(labels, np.full(500, 9))
    assert found.verdict == "fail" and found.statistic == 0
    assert found.summary.endswith("500 of all 500 predictions are class 9.")


@pytest.mark.parametrize("counts", [[480, 20], [240, 240, 25], [225, 225, 25, 25], [45] * 9 + [15], [240, 240, 5]])
def test_a_rare_class_that_is_never_named_does_not_pass(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    found = judge(labels, np.where(labels == len(counts) - 1, 0, labels))
    assert found.verdict == "inconclusive" and found.summary.endswith(
        f"1 of {len(counts)} classes is undecided: class {len(counts) - 1}."
    )
    assert found.needed_n is None  # the target has no more images


def test_always_one_class_never_passes_in_any_mixture():
    rng, verdicts = generator("mixtures"), Counter()
    for _ in range(200):
        k = int(rng.integers(2, 12))
        shares = rng.dirichlet(np.full(k, rng.choice([0.2, 1, 5])))
        labels = rng.choice(k, int(rng.integers(20, 600)), p=shares)
        verdicts[judge(labels, np.full(len(labels), int(rng.integers(k))), k).verdict] += 1
    assert not verdicts["pass"] and verdicts["fail"] > 100


def test_honest_models_are_rarely_accused():
    rng, verdicts = generator("honest"), Counter()
    for _ in range(100):
        k = int(rng.integers(2, 8))
        labels = rng.choice(k, 500, p=rng.dirichlet(np.full(k, 5)))
        right = rng.random(500) < 0.8
        verdicts[judge(labels, np.where(right, labels, rng.permutation(labels)), k).verdict] += 1
    assert not verdicts["fail"] and verdicts["pass"] > 60


def test_labels_of_one_class_only(make):
    found = collapsed_classes(make(np.zeros(100, int), k=3))
    assert found.verdict == "not_applicable" and "all of one class" in found.summary
