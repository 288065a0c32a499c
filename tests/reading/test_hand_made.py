"""Features that anybody could count, and trees on them."""

import numpy as np
import pytest
import torch

from cnnaudit.reading.hand_made import explain, hand_made, small_tree


def test_features_of_a_half_dark_image():
    image = torch.ones(1, 1, 4, 4)
    image[:, :, :1] = 0
    found = {name: float(column[0]) for name, column in hand_made(image).items()}
    assert found["dark pixels"] == found["folded dark pixels"] == 0.25
    assert found["mean"] == 0.75
    assert found["spread"] == pytest.approx(np.sqrt(0.75 * 0.25))
    assert found["edges"] == pytest.approx(4 / 24)  # 4 of 12 + 12 neighboring pairs differ


def test_folded_dark_pixels_are_the_same_for_the_negative():
    images = torch.rand(5, 1, 9, 9)
    found, negative = hand_made(images), hand_made(1 - images)
    np.testing.assert_allclose(found["folded dark pixels"], negative["folded dark pixels"])


def test_color_images_have_channel_means_and_files_their_properties():
    images = torch.rand(3, 3, 5, 5)
    found = hand_made(images, {"file_size": np.array([10, 20, 30])})
    np.testing.assert_allclose(found["mean of green"], images[:, 1].mean(dim=(1, 2)).numpy(), rtol=1e-5)
    assert found["file size"].tolist() == [10, 20, 30]


def test_a_small_tree_has_so_many_leaves():
    rng = np.random.default_rng(0)
    assert small_tree(rng.random((200, 3)), rng.integers(0, 3, 200), 6).get_n_leaves() == 6


def test_a_feature_that_is_the_label_explains_everything_and_noise_nothing():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 3, (2, 300))
    answers = np.where(rng.random(300) < 0.9, truth, (truth + 1) % 3)
    perfect = explain((labels[:, None], labels), (truth[:, None], truth), answers, 0.99, rng)
    assert perfect.score == 1
    assert perfect.ratio == pytest.approx(1 / perfect.model)
    assert perfect.interval[0] < perfect.ratio < perfect.interval[1]
    none = explain((rng.random((300, 2)), labels), (rng.random((300, 2)), truth), answers, 0.99, rng)
    assert none.interval[0] < 0 < none.interval[1] < 0.3
