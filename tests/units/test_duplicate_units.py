"""Copies up to sign, rotation and flip: against a loop over all symmetries, planted copies and a null."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.units import LayerKernels
from cnnaudit.units._duplicates import SYMMETRIES, copies, duplicates, likeness


def changed(unit, k):
    """A unit (inputs, h, w) after the symmetry of that number."""
    flipped = unit[:, :, ::-1] if "flipped" in SYMMETRIES[k] else unit
    turns = next((n for n in (1, 2, 3) if str(90 * n) in SYMMETRIES[k]), 0)
    return np.stack([np.rot90(kernel, turns) for kernel in flipped])


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (5, 2, 5, 5), (6, 3, 1, 7), (4, 2, 2, 3)])
def test_likeness_against_a_loop(shape):
    weights = np.random.default_rng(0).normal(0.3, 1, shape)
    found = likeness(weights)
    for a in range(len(weights)):
        for b in range(len(weights)):
            every = []
            for k in range(8):
                other = changed(weights[b], k)
                if other.shape == weights[a].shape:
                    every.append(np.corrcoef(weights[a].ravel(), other.ravel())[0, 1])
            expected = 0 if a == b else max(every, key=abs)
            assert found.correlation[a, b] == pytest.approx(expected, abs=1e-5)
            if a != b:
                other = changed(weights[b], found.symmetry[a, b])
                assert np.corrcoef(weights[a].ravel(), other.ravel())[0, 1] == pytest.approx(expected, abs=1e-5)


def test_the_symmetries_of_a_square_are_eight():
    kernel = np.arange(9.0).reshape(1, 3, 3)
    assert len({changed(kernel, k).tobytes() for k in range(8)}) == 8


def layer_with_copies():
    """Units 1 to 8 are unit 0 under each symmetry, with its sign turned, scaled and shifted; the rest are random."""
    weights = np.random.default_rng(1).normal(size=(20, 6, 3, 3))
    for k in range(8):
        weights[1 + k] = (-1) ** k * (0.5 + k) * changed(weights[0], k) + k
    return weights.astype(np.float32)


def model_of(weights, groups=1):
    model = nn.Sequential(nn.Conv2d(weights.shape[1] * groups, len(weights), weights.shape[2:], groups=groups))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(weights))
    return model


def test_planted_copies_are_found_and_no_others():
    (row,) = duplicates(model_of(layer_with_copies()))
    assert row.found == tuple(range(9)) and row.null == 0 and row.null_name == "permuted kernels"
    found = copies(LayerKernels("0", layer_with_copies()))
    assert len(found) == 9 * 8 / 2
    first = {pair.other: pair for pair in found if pair.unit == 0}
    for k in range(8):
        assert abs(first[1 + k].correlation) == pytest.approx(1, abs=1e-5)
        assert np.sign(first[1 + k].correlation) == (-1) ** k
        back = changed(changed(layer_with_copies()[0], k), SYMMETRIES.index(first[1 + k].symmetry))
        np.testing.assert_allclose(back, layer_with_copies()[0])  # the symmetry brings the copy back


def test_noise_of_less_than_a_fifth_still_makes_a_copy():
    weights = layer_with_copies()[9:]
    rng = np.random.default_rng(0)
    weights[1] = weights[0] + 0.3 * rng.normal(size=weights[0].shape)  # correlation .96
    weights[2] = weights[3] + 1.0 * rng.normal(size=weights[0].shape)  # correlation .71
    assert duplicates(model_of(weights))[0].found == (0, 1)
    assert duplicates(model_of(weights), threshold=0.6)[0].found == (0, 1, 2, 3)


def test_small_kernels_are_alike_by_chance_and_not_found():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 64, 3))
    best = likeness(model[0].weight.detach().numpy()).best()
    (row,) = duplicates(model)
    assert (best > 0.9).sum() > 20 and row.null > 0.3
    assert len(row.found) <= 2


def test_groups_are_not_compared_and_constant_kernels_are_copies_of_nothing():
    weights = layer_with_copies()
    weights[10] = weights[0]
    weights[15:] = 0
    (row,) = duplicates(model_of(weights, groups=2))
    assert row.found == tuple(range(9))  # unit 10 sees other inputs
    weights[15:] = 0.1
    assert duplicates(model_of(weights))[0].found == (*range(9), 10)


def test_layers_without_pairs():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 1, 3))
    with pytest.raises(UnsupportedError, match="two units on the same inputs"):
        duplicates(model)
    with pytest.raises(DataError, match=r"in 0\.\.1, got 2"):
        duplicates(nn.Sequential(nn.Conv2d(1, 2, 3)), 2)


def test_hundreds_of_equal_units():
    weights = np.repeat(layer_with_copies()[:1], 200, axis=0)
    (row,) = duplicates(model_of(weights))
    assert len(row.found) == 200
    assert len(copies(LayerKernels("0", weights), most=5)) == 5
