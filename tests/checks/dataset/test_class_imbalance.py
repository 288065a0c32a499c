"""The model beside 'always the largest class'."""

import numpy as np
import pytest
from asking import one

from cnnaudit.checks.dataset.class_imbalance import graded
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.target import AuditTarget


def answering(recall, n=2000):
    """Two classes of n images and a model that is right on that share of each."""
    labels = np.repeat([0, 1], n)
    right = np.tile(np.arange(n) < recall * n, 2)
    images = write_predictions(np.zeros((2 * n, 1, 4, 4), np.float32), np.where(right, labels, 1 - labels), 2)
    return AuditTarget.from_arrays("answering", reads_pixel(2), {"validation": (images, labels)}, ("pass", "fail"))


def test_always_the_largest_class_is_not_above_itself():
    found = one("class_imbalance", graded(0, None))
    assert found.verdict == "fail"
    assert "the model is not clearly above 'always pass'" in found.summary


@pytest.mark.parametrize(("recall", "verdict"), [(0.56, "fail"), (0.9, "pass")])
def test_a_model_that_is_above_it_is_told_so_whatever_the_verdict(recall, verdict):
    found = one("class_imbalance", answering(recall), profile="deep")
    assert found.statistic == pytest.approx(2 * recall - 1)
    assert found.verdict == verdict
    if verdict == "fail":
        assert "the model is above 'always pass'" in found.summary
    assert f"{2 * recall - 1:.0%} of the way from there to perfect" in found.summary
    assert "at least 20% are expected" in found.summary
