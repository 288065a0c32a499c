"""The excess of a class over every other, and Newcombe's interval."""

import numpy as np
import pytest
import torch

from cnnaudit.cues import Sample, excess


def sample(shares, n=100):
    """Images whose only pixel is 1 in that share of each class."""
    values = np.concatenate([np.arange(n) < round(share * n) for share in shares]).astype(np.float32)
    return Sample(torch.from_numpy(values).view(-1, 1, 1, 1), np.repeat(np.arange(len(shares)), n))


def carries(images):
    return images[:, 0, 0, 0] > 0.5


def test_newcombes_published_example():
    first = Sample(
        torch.tensor([1.0] * 56 + [0.0] * 14 + [1.0] * 48 + [0.0] * 32).view(-1, 1, 1, 1), np.repeat([0, 1], [70, 80])
    )
    found = excess(carries, [first], 0)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # table II (a), method 10


def test_the_lesser_split_and_the_nearest_class_count():
    found = excess(carries, [sample([0.9, 0.1, 0.2]), sample([0.7, 0.3, 0.0])], 0)
    assert found.value == pytest.approx(0.4) and found.share == pytest.approx(0.7)
    assert found.elsewhere == pytest.approx(0.3)
    assert found.low < 0.4 < found.high


def test_more_confidence_is_a_wider_interval_and_the_bounds_may_differ():
    wide, narrow = (excess(carries, [sample([0.6, 0.1])], 0, level) for level in (0.999, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high
    mixed = excess(carries, [sample([0.6, 0.1])], 0, 0.999, 0.9)
    assert (mixed.low, mixed.high) == (wide.low, narrow.high)
