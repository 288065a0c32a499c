"""Agreement of superpixel weights; two samples do not settle them, many do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnaudit.checks.fidelity._evaluation_set import subject_of
from cnnaudit.checks.fidelity.lime import agreement, lime_stability, segmentation_for, weighed

pytest.importorskip("lime")


def test_agreement_is_the_mean_rank_correlation_of_all_pairs():
    up, down = np.arange(5.0), -np.arange(5.0)
    assert agreement([up, up * 2]) == 1
    assert agreement([up, down]) == -1
    assert agreement([up, up, down]) == pytest.approx((1 - 1 - 1) / 3)


def test_few_samples_are_unstable_and_many_are_not():
    target = weighed(0)
    images, _ = target.sample("validation", 40, 0)
    subject = subject_of(target, images, target.logits(images), 8, np.random.default_rng(0), 0)
    few, many = (lime_stability(subject, 4, samples, np.random.default_rng(0), 0) for samples in (2, 600))
    assert few.agreement.mean() < 0.3
    assert many.agreement.mean() > 0.8
    assert many.fit.min() > 0.8


def test_small_images_are_cut_by_slic():
    assert segmentation_for(torch.zeros(1, 1, 28, 28)) == "slic"
    assert segmentation_for(torch.zeros(1, 3, 64, 80)) == "quickshift"
