"""Ratios of predictions to images against their definition."""

import numpy as np
import pytest

from cnnaudit.checks.behavior._collapse import balances, needed_per_class, others
from cnnaudit.core.statistics import proportion_interval


def test_ratio_and_interval_are_those_of_the_share_of_predictions():
    labels, predicted = np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [90, 10])
    zero, one = balances(labels, predicted, np.array([0, 1]), 0.99)
    assert (zero.ratio, one.ratio) == (90 / 80, 0.5)
    low, high = proportion_interval(10, 100, 0.99)
    assert one.interval == pytest.approx((low / 0.2, high / 0.2))
    assert one.p_value(0.5) == pytest.approx(0.583, abs=1e-3)  # P(X <= 10), X ~ Binomial(100, 0.1)


def test_where_one_class_is_always_predicted_the_others_together_have_none():
    labels = np.arange(100) % 50
    always = others(labels, np.full(100, 7), 0.99)
    assert always.ratio == 0 and always.present == 98 and always.interval[1] < 0.1
    assert others(labels, labels, 0.99).ratio == 1.0


@pytest.mark.parametrize("confidence", [0.95, 0.9998])
@pytest.mark.parametrize("n", [100, 500, 5000])
def test_the_needed_images_tell_never_from_the_tolerance(n, confidence):
    needed = needed_per_class(0.25, confidence)
    bound = [proportion_interval(0, n, confidence)[1] * n / images for images in (needed, 0.8 * needed)]
    assert bound[0] <= 0.25 < bound[1]
