"""Negative flips are counted image by image, by class and group, and judged by the claim."""

from dataclasses import replace

import numpy as np
import pytest

from cnnaudit.checks.behavior.regression import changes, regression
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.core.statistics.paired import mcnemar_p_value, paired_drop_interval
from cnnaudit.target import Claims


@pytest.fixture
def versions(make):
    """A target of those labels and predictions, with a previous model that predicted `before`."""

    def versions(labels, before, now, **details):
        # the same images for both: the previous model's answer is written into the last pixel
        target = make(labels, now, k=3, **details)
        older = np.asarray(before)
        answers = np.eye(3, dtype=np.float32)[older]
        import torch

        previous = replace(target, name="v1", _cache={})
        object.__setattr__(previous, "logits", lambda images, description="": torch.from_numpy(answers))
        return replace(target, previous=previous)

    return versions


def test_flips_are_counted_and_their_interval_is_exact(versions):
    labels = np.arange(300) % 3
    before, now = labels.copy(), labels.copy()
    before[:30] = (labels[:30] + 1) % 3  # became right
    now[100:160] = (labels[100:160] + 1) % 3  # became wrong
    found = regression(versions(labels, before, now), confidence=0.95)
    assert found.statistic == pytest.approx(0.2) and found.interval == pytest.approx(proportion_interval(60, 300))
    assert found.verdict == "fail" and not found.gate
    assert "60 of 300 images are wrong now that 'v1' got right, and 30 are right" in found.summary
    assert "accuracy 0.900 became 0.800" in found.summary
    table = next(item for item in found.evidence if item.get("file") == "negative-flips.csv")
    assert len(table["rows"]) == 60 and table["rows"][0][0].startswith("validation[")


def test_classes_and_groups_are_those_of_a_slow_count():
    rng = np.random.default_rng(0)
    labels, before, now = (rng.integers(3, size=400) for _ in range(3))
    site = rng.choice(["a", "b"], 400)
    rows = {row.name: row for row in changes(labels, before, now, ("x", "y", "z"), {"site": site})}
    assert set(rows) == {"class x", "class y", "class z", "site = a", "site = b"}
    for name, own in (("class y", labels == 1), ("site = b", site == "b")):
        lost = sum(b == y != a for y, b, a in zip(labels[own], before[own], now[own]))
        gained = sum(b != y == a for y, b, a in zip(labels[own], before[own], now[own]))
        assert (rows[name].images, rows[name].lost, rows[name].gained) == (own.sum(), lost, gained)


def test_only_a_significant_class_is_named(versions):
    labels = np.arange(300) % 3
    now = np.where((labels == 2) & (np.arange(300) < 60), 0, labels)
    assert "Significantly worse: class class 2, 20 of 100 lost" in regression(versions(labels, labels, now)).summary
    assert "No class or group lost" in regression(versions(labels, labels, labels)).summary


def test_the_claim_is_the_tolerance_and_makes_it_a_gate(versions):
    labels = np.arange(300) % 3
    now = np.where(np.arange(300) < 12, (labels + 1) % 3, labels)
    target = versions(labels, labels, now)
    plain, strict = (regression(replace(target, claims=Claims(negative_flips=c)), confidence=0.95) for c in (0.2, 0.01))
    assert (plain.verdict, strict.verdict, strict.gate, strict.tolerance) == ("pass", "fail", True, 0.01)


def test_without_a_previous_model_it_is_not_asked(make):
    found = regression(make(np.arange(30) % 3))
    assert found.verdict == "not_applicable" and "set [model.previous]" in found.summary


def test_one_image_is_enough(versions):
    assert regression(versions([1], [1], [1])).verdict == "inconclusive"


@pytest.mark.parametrize(("lost", "gained", "expected"), [(0, 5, 1.0), (5, 0, 1 / 32), (3, 1, 5 / 16), (0, 0, 1.0)])
def test_mcnemar_is_the_sign_test(lost, gained, expected):
    assert mcnemar_p_value(lost, gained) == pytest.approx(expected)


def test_a_drop_without_gains_lies_above_zero():
    assert paired_drop_interval(20, 0, 100, 0.95)[0] > 0
