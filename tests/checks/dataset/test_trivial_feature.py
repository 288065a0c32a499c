"""Trees on hand-made features beside the model."""

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.target import AuditTarget


def test_a_weak_model_is_explained_by_a_feature_that_a_good_one_goes_beyond():
    """The ratio is relative to the model: (.5 above chance) / (.8 above chance) = .625 of it."""
    rng, labels, splits = np.random.default_rng(0), np.arange(2000) % 2, {}
    for split in ("train", "validation"):
        bright, answers = (np.where(rng.random(2000) < share, labels, 1 - labels) for share in (0.75, 0.9))
        images = (0.1 + 0.4 * bright)[:, None, None, None] + 0.5 * rng.random((2000, 1, 24, 24))
        shown = answers if split == "validation" else rng.integers(0, 2, 2000)  # so that trees cannot read the answer
        splits[split] = (write_predictions(images.astype(np.float32), shown, 2), labels)
    found = one("trivial_feature", AuditTarget.from_arrays("weak", reads_pixel(2), splits, ("a", "b")), profile="deep")
    assert found.statistic == pytest.approx(0.625, abs=0.08)


def test_a_model_at_chance_has_nothing_to_explain():
    labels = np.arange(200) % 2
    target = make(labels)
    guessing = AuditTarget.from_arrays(
        "guessing", reads_pixel(2), {s: (target.sample(s, None)[0] * 0, labels) for s in ("train", "validation")}, "ab"
    )
    found = one("trivial_feature", guessing)
    assert found.verdict == "not_applicable"
    assert "not clearly above chance" in found.summary
