"""The outer ring."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cnnaudit.checks.dataset.border_shortcut import auc, ring_cells, ring_scores


def images(n, seed, side=32):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, side, side)).astype(np.uint8)


def test_the_interior_is_not_seen():
    pixels = images(5, 0)
    changed = pixels.copy()
    changed[:, :, 2:-2, 2:-2] = 255 - changed[:, :, 2:-2, 2:-2]
    np.testing.assert_array_equal(ring_cells(pixels), ring_cells(changed))
    changed[:, :, 1, 5] = 0
    assert (ring_cells(pixels) != ring_cells(changed)).any()


def test_cells_are_means_and_spreads():
    pixels = images(1, 1)
    corner = pixels[0, 0, :2, :2] / 255
    cells = ring_cells(pixels)
    assert cells.shape == (1, 120)
    assert cells[0, 0] == pytest.approx(corner.mean(), abs=1e-5)
    assert cells[0, 60] == pytest.approx(corner.std(), abs=1e-5)


def test_auc_is_sklearns():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 4, 200), rng.random(200) < 0.3
    inside, outside = (np.bincount(scores[of], minlength=4) / of.sum() for of in (positive, ~positive))
    assert auc(inside, outside) == pytest.approx(roc_auc_score(positive, scores))


def test_a_tag_in_one_class_is_found_and_a_random_ring_is_chance():
    labels = np.arange(300) % 3
    splits = []
    for seed in (0, 1):
        pixels = images(300, seed)
        pixels[labels == 1, :, -2:, -2:] = 250
        splits.append((ring_cells(pixels), labels))
    found = ring_scores(*splits, 0.99, np.random.default_rng(0))
    assert found.auc.argmax() == 1
    assert found.auc[1] > 0.99
    assert found.low[1] > 0.95
    clean = ring_scores(*((ring_cells(images(300, seed)), labels) for seed in (2, 3)), 0.99, np.random.default_rng(0))
    assert np.abs(clean.auc - 0.5).max() < 0.1
    assert (clean.low < clean.auc).all()
    assert (clean.auc < clean.high).all()


def test_a_perfect_score_of_few_images_is_not_certain():
    labels = np.repeat([0, 1], [40, 6])
    cells = np.where(labels == 1, 1.0, 0.0)[:, None]
    found = ring_scores((cells, labels), (cells, labels), 0.99, np.random.default_rng(0))
    assert found.auc.tolist() == [1, 1]
    assert found.low.max() < 0.95


def test_classes_with_few_images_are_left_out():
    labels = np.repeat([0, 1, 2], [20, 20, 4])
    cells = np.random.default_rng(0).random((44, 3))
    found = ring_scores((cells, labels), (cells, labels), 0.95, np.random.default_rng(0))
    assert found.classes.tolist() == [0, 1]
