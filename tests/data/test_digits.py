"""The handwritten digits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnaudit.core.errors import DataError
from cnnaudit.data import digits


def test_all_digits_as_28_pixels() -> None:
    data = digits()
    assert data.images.shape == (1797, 1, 28, 28)
    assert (data.images.dtype, data.labels.dtype) == (np.float32, np.int64)
    assert (data.images.min(), data.images.max()) == (0, 1)
    assert np.array_equal(data.labels, load_digits().target)
    assert data.classes == tuple("0123456789")


def test_the_center_pixel_of_each_block_is_the_original() -> None:
    # Enlarged three times, the center of every second pixel of three falls on an original's center.
    centers = digits().images[:, 0, 3:27:3, 3:27:3]
    np.testing.assert_allclose(centers, load_digits().images / 16, atol=1e-6)


def test_enlarging_keeps_the_mean_and_the_margin_is_black() -> None:
    images = digits().images[:, 0]
    framed = images.copy()
    framed[:, 2:-2, 2:-2] = 0
    assert not framed.any()
    np.testing.assert_allclose(images[:, 2:-2, 2:-2].mean(), load_digits().images.mean() / 16, rtol=0.01)


def test_the_split_is_stratified_disjoint_and_complete() -> None:
    train, validation = digits("train"), digits("validation")
    assert (len(train.labels), len(validation.labels)) == (1198, 599)
    assert np.all(np.abs(np.bincount(train.labels) - 2 * np.bincount(validation.labels)) <= 3)
    together = np.concatenate([train.images, validation.images]).reshape(1797, -1)
    assert np.array_equal(np.unique(together, axis=0), np.unique(digits().images.reshape(1797, -1), axis=0))
    assert np.array_equal(digits("train").images, train.images)
    assert not np.array_equal(digits("train", seed=1).images, train.images)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="split must be all, train or validation, got 'test'"):
        digits("test")  # type: ignore[arg-type]
