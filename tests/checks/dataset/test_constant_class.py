"""How much a class varies."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from cnnaudit.checks.dataset.constant_class import class_spreads, constant_class
from cnnaudit.checks.random_filters import filter_features, random_filters
from cnnaudit.checks.readout import reads_pixel
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.target import AuditTarget


def noise(n, contrast, seed):
    return (contrast * np.random.default_rng(seed).random((n, 1, 16, 16))).astype(np.float32)


def test_filters_ignore_brightness_and_are_the_same_every_time():
    filters = random_filters(3)
    assert torch.equal(filters, random_filters(3))
    assert filters.sum(dim=(1, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(filters.flatten(1).norm(dim=1), torch.ones(32))
    image = noise(2, 0.5, 0)
    np.testing.assert_allclose(filter_features(image), filter_features(image + 0.3), atol=1e-5)


def test_features_are_the_largest_responses_in_a_grid():
    image = noise(1, 1.0, 1)
    response = functional.conv2d(torch.from_numpy(image), random_filters(1))[0].clamp(min=0).numpy()
    feature = filter_features(image).reshape(32, 4, 4)
    # 14 x 14 responses in 4 x 4 cells: the first cell is rows and columns 0..3, the last 10..13
    np.testing.assert_allclose(feature[:, 0, 0], response[:, :4, :4].max(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(feature[:, 3, 3], response[:, 10:, 10:].max(axis=(1, 2)), rtol=1e-5)


def test_a_class_of_a_third_of_the_contrast_has_a_third_of_the_spread():
    images = np.concatenate([noise(200, 1.0, 0), noise(200, 1.0, 0) / 3, noise(200, 1.0, 0)])
    spreads = class_spreads(images, np.repeat([0, 1, 2], 200), 0.95)
    np.testing.assert_allclose(spreads.ratio, [1, 1 / 3, 1], rtol=1e-4)
    assert (spreads.low < spreads.ratio).all()
    assert (spreads.ratio < spreads.high).all()


def test_identical_images_have_no_spread_and_do_not_lower_that_of_others():
    images = np.concatenate([noise(50, 1.0, 0), noise(1, 1.0, 1).repeat(50, axis=0), noise(50, 1.0, 2)])
    spreads = class_spreads(images, np.repeat([0, 1, 2], 50), 0.95)
    assert spreads.ratio[1] == spreads.high[1] == 0
    np.testing.assert_allclose(spreads.ratio[[0, 2]], 1, atol=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        images = np.concatenate([noise(30, 1.0, 2 * seed), noise(30, 0.5, 2 * seed + 1)])
        spreads = class_spreads(images, np.repeat([0, 1], 30), 0.9)
        covered += spreads.low[1] <= 0.5 <= spreads.high[1]
    assert covered >= 85


def test_classes_with_few_images_are_left_out():
    assert class_spreads(noise(14, 1.0, 0), np.repeat([0, 1], [10, 4]), 0.95).classes.tolist() == [0]


def test_images_smaller_than_the_filters_are_refused():
    with pytest.raises(UnsupportedError, match="2 x 2 pixels"):
        filter_features(np.zeros((1, 1, 2, 2), np.float32))


def test_a_class_of_one_image_is_not_passed_over():
    images = np.concatenate([noise(50, 1.0, 0), noise(50, 1.0, 1), noise(1, 1.0, 2)])
    labels = np.repeat([0, 1, 2], [50, 50, 1])

    def judged(n):
        splits = {"train": (images[:n], labels[:n]), "validation": (images[:n], labels[:n])}
        return constant_class(AuditTarget.from_arrays("rare", reads_pixel(3), splits, ("a", "b", "c")))

    assert judged(100).verdict == "pass"
    found = judged(101)
    assert found.verdict == "inconclusive"
    assert "'c'" in found.summary
