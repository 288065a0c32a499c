"""Trees on hand-made features beside the model."""

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.dataset.trivial_feature import CONSTANT, within_shares
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.target import AuditTarget


def bright(overlap, right=0.9, n=1000):
    """Two classes whose brightness differs and varies by so much, and a model that is right on a share of it all."""
    rng, labels, splits = np.random.default_rng(0), np.arange(n) % 2, {}
    for split in ("train", "validation"):
        level = 0.2 + 0.3 * labels + overlap * rng.uniform(-0.3, 0.3, n)
        images = level[:, None, None, None] + 0.02 * rng.random((n, 1, 24, 24))
        answers = np.where(rng.random(n) < right, labels, 1 - labels)
        shown = answers if split == "validation" else rng.integers(0, 2, n)  # so that trees cannot read the answer
        splits[split] = (write_predictions(images.clip(0, 1).astype(np.float32), shown, 2), labels)
    return AuditTarget.from_arrays("bright", reads_pixel(2), splits, ("a", "b"))


def test_within_shares_are_those_of_the_variance():
    rng, labels = np.random.default_rng(0), np.arange(400) % 4
    column = rng.normal(size=400) + 2 * labels
    found = within_shares({"x": column, "flat": np.zeros(400)}, labels)
    assert found["x"] == pytest.approx(np.mean([column[labels == k].var() for k in range(4)]) / column.var())
    assert found["flat"] == 1


def test_a_constant_feature_explains_more_than_a_weak_model():
    """The ratio is relative to the model: 1 / (.8 above chance)."""
    found = one("trivial_feature", bright(overlap=0.1), profile="deep")
    assert found.statistic == pytest.approx(1 / 0.8, abs=0.06)
    assert found.verdict == "fail"


def test_a_feature_that_varies_within_classes_accuses_nobody_and_is_told():
    target = bright(overlap=0.5)
    brightness = target.sample("train", None)[0].mean(dim=(1, 2, 3)).numpy()
    assert within_shares({"mean": brightness}, np.arange(1000) % 2)["mean"] > CONSTANT
    found = one("trivial_feature", target, profile="deep")
    assert found.verdict == "pass"
    assert found.statistic == 0
    assert "reaches 12" in found.summary  # a tree on all of them explains everything: 100 / 80 %


def test_a_model_at_chance_has_nothing_to_explain():
    labels = np.arange(200) % 2
    target = make(labels)
    guessing = AuditTarget.from_arrays(
        "guessing", reads_pixel(2), {s: (target.sample(s, None)[0] * 0, labels) for s in ("train", "validation")}, "ab"
    )
    found = one("trivial_feature", guessing)
    assert found.verdict == "not_applicable"
    assert "not clearly above chance" in found.summary
