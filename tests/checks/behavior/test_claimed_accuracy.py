"""The accuracy against its claim or chance, and the order of classes that explains a miss."""

import numpy as np
import pytest

from cnnaudit.checks.behavior.claimed_accuracy import claimed_accuracy, class_order, confusion
from cnnaudit.core.statistics import gate_confidence, generator, proportion_interval
from cnnaudit.target import Claims


def test_confusion_counts():
    rng = generator("confusion")
    labels, predicted = rng.integers(4, size=60), rng.integers(4, size=60)
    slow = [[sum((labels == i) & (predicted == j)) for j in range(4)] for i in range(4)]
    assert confusion(labels, predicted, 4).tolist() == slow


def test_the_order_of_the_logits_is_found():
    rng = generator("order")
    labels = rng.integers(5, size=300)
    stands_for = np.array([2, 0, 1, 4, 3])  # the class of each logit
    predicted = np.argsort(stands_for)[np.where(rng.random(300) < 0.9, labels, rng.integers(5, size=300))]
    found = class_order(labels, predicted, tuple("abcde"), rng)
    assert found.classes == ("c", "a", "b", "e", "d")
    assert found.n == 150 and found.after / 150 == pytest.approx(0.92, abs=0.06) and found.before < 30


@pytest.mark.parametrize("classes", [2, 10, 200])
def test_no_order_is_made_up_from_chance(classes):
    for seed in range(10):
        rng = generator("chance", classes, seed)
        labels, predicted = rng.integers(classes, size=(2, 300))
        assert class_order(labels, predicted, [str(k) for k in range(classes)], rng) is None


def test_a_right_order_stays():
    labels = np.arange(200) % 10
    assert class_order(labels, labels, tuple("0123456789"), generator("right")) is None


def with_accuracy(make, share, n=500, k=4, **settings):
    labels = np.arange(n) % k
    wrong = np.arange(n) >= round(share * n)
    return make(labels, np.where(wrong, (labels + 1 + np.arange(n) // k % (k - 1)) % k, labels), **settings)


def test_the_shortfall_has_the_exact_interval_of_the_accuracy(make):
    found = claimed_accuracy(with_accuracy(make, 0.8, claims=Claims(accuracy=0.95)), confidence=0.99)
    low, high = proportion_interval(400, 500, 0.99)
    assert found.statistic == pytest.approx(0.15) and found.interval == pytest.approx((0.95 - high, 0.95 - low))
    assert (
        found.tolerance == 0.05
        and found.summary == "400 of 500 images (0.800) are classified correctly; 0.95 is claimed."
    )


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "pass"), (0.25, "fail"), (0.1, "fail")])
def test_without_a_claim_chance_must_be_beaten(make, share, verdict):
    found = claimed_accuracy(with_accuracy(make, share), confidence=gate_confidence(16))
    assert found.verdict == verdict and found.direction == "at_least" and "by chance, nothing claimed" in found.summary
    assert found.statistic_name == "accuracy above chance" and found.statistic == pytest.approx(share - 0.25, abs=0.01)
    assert found.tolerance == pytest.approx(0.2 * (0.25 * 0.75) ** 0.5, abs=0.001)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_a_model_at_chance_fails(make, k):
    labels = np.arange(500) % k
    found = claimed_accuracy(make(labels, np.arange(500) // k % k, k=k), confidence=gate_confidence(16))
    assert found.verdict == "fail"


def test_balanced_answers_on_imbalanced_data_beat_chance_though_not_the_majority(make):
    labels = np.repeat([0, 1], [450, 50])
    wrong = np.arange(500) % 20 < 3
    found = claimed_accuracy(make(labels, np.where(wrong, 1 - labels, labels)))
    assert found.verdict == "pass" and 1 - wrong.mean() < 0.9


def test_a_passing_model_is_given_no_hint(make):
    found = claimed_accuracy(with_accuracy(make, 0.95, claims=Claims(accuracy=0.95)))
    assert found.verdict == "pass" and not found.hint


def test_a_wrong_order_of_classes_is_named(make):
    labels = np.arange(400) % 4
    found = claimed_accuracy(make(labels, (labels + 1) % 4, claims=Claims(accuracy=0.9)))
    assert found.hint == (
        "With data.classes = ['class 3', 'class 0', 'class 1', 'class 2'], 200 of 200 images are right instead of 0."
    )
