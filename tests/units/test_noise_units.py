"""Filters that cannot be told from noise: exact under any initialization, powerful against planted structure."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from cnnaudit.core.errors import DataError
from cnnaudit.models import lenet
from cnnaudit.units import LayerKernels, untrained
from cnnaudit.units.untrained import high_frequencies, noise_p_values

SHAPES = {"spatial": (80, 6, 3, 3), "depthwise": (80, 1, 5, 5), "pointwise": (80, 40, 1, 1)}


def draw(shape, kind, seed=0):
    rng = np.random.default_rng(seed)
    drawn = {"uniform": rng.uniform(-1, 1, shape), "normal": rng.normal(size=shape), "heavy": rng.standard_t(3, shape)}
    return LayerKernels("noise", drawn[kind].astype(np.float32))


@pytest.mark.parametrize("kind", ["uniform", "normal", "heavy"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_p_values_of_noise_are_uniform_whatever_it_is_drawn_from(shape, kind):
    (row,) = noise_p_values([draw(shape, kind)], permutations=99)
    assert row.tests and kstest(row.p_values, "uniform").pvalue > 0.001
    assert 0.85 <= row.noise.mean() <= 1


def test_smooth_kernels_are_told_from_noise():
    smooth = np.cumsum(np.cumsum(draw((40, 6, 3, 3), "normal").weights, axis=2), axis=3)
    (row,) = noise_p_values([LayerKernels("smooth", smooth)])
    assert row.noise.mean() < 0.1


def test_a_center_that_outweighs_the_rest_is_told_from_noise_though_it_is_not_smooth():
    weights = draw((40, 12, 3, 3), "normal").weights.copy()
    weights[:, :, 1, 1] *= 4
    (row,) = noise_p_values([LayerKernels("center", weights)])
    assert row.noise.mean() < 0.1


def test_depthwise_kernels_that_are_alike_and_pointwise_ones_that_share_directions_are_told_from_noise():
    rng = np.random.default_rng(1)
    place = rng.normal(size=(1, 1, 5, 5)) * rng.choice([-1, 1], (80, 1, 1, 1)) + 0.3 * rng.normal(size=(80, 1, 5, 5))
    shared = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 40)) + rng.normal(size=(80, 40))
    rows = noise_p_values(
        [LayerKernels("depthwise", place.astype("f4")), LayerKernels("1x1", shared[..., None, None].astype("f4"))]
    )
    assert [row.tests for row in rows] == [("smoothness", "places"), ("inputs", "directions")]
    assert all(row.noise.mean() < 0.2 for row in rows)


def test_half_of_a_layer_that_is_noise_is_found_unit_by_unit():
    weights = draw((60, 8, 5, 5), "uniform").weights.copy()
    weights[:30] = np.cumsum(np.cumsum(weights[:30], axis=2), axis=3)
    (row,) = noise_p_values([LayerKernels("half", weights)])
    assert row.noise[:30].mean() < 0.05 and row.noise[30:].mean() > 0.8


def test_little_training_leaves_noise_and_more_leaves_less():
    start, change = draw((100, 8, 3, 3), "normal").weights, np.ones((1, 1, 3, 3), dtype="f4")
    change = change * np.random.default_rng(2).normal(size=(100, 8, 1, 1)).astype("f4")
    shares = [
        float(noise_p_values([LayerKernels("step", start + step * change)])[0].noise.mean()) for step in (0, 0.4, 1, 3)
    ]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.8 and shares[-1] < 0.02


def test_zeros_and_layers_without_a_test_say_nothing():
    weights = draw((20, 4, 3, 3), "normal").weights.copy()
    weights[5] = 0
    (row,) = noise_p_values([LayerKernels("zero", weights)])
    assert np.isnan(row.p_values[5]) and not row.noise[5] and np.isfinite(np.delete(row.p_values, 5)).all()
    (few,) = noise_p_values([draw((80, 8, 1, 1), "normal")])
    assert few.tests == () and np.isnan(few.p_values).all()


def test_a_sample_of_units_is_a_sample_and_repeats():
    layer = draw((80, 6, 3, 3), "normal")
    one, two = (noise_p_values([layer], most=10, seed=3)[0] for _ in range(2))
    assert len(one.units) == 10 and np.array_equal(one.p_values, two.p_values) and one.population == 80


def test_the_table_of_a_network_leaves_out_what_cannot_be_asked():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 32, 3))
    (row,) = untrained(net)
    assert row.layer == "1" and row.null == 0.9 and row.share > 0.7
    assert len(untrained(lenet())) == 2


def test_white_noise_has_the_stated_share_of_high_frequencies():
    noise = torch.randn(50, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert high_frequencies(noise).mean() == pytest.approx(1 - np.pi / 16, abs=0.01)
    waves = torch.stack([torch.sin(2 * torch.pi * k / 64 * torch.arange(64)).expand(1, 64, 64) for k in (8, 24)])
    np.testing.assert_allclose(high_frequencies(waves), [0, 1], atol=1e-9)
    assert np.isnan(high_frequencies(torch.full((1, 1, 8, 8), 0.5)))[0]
    with pytest.raises(DataError, match="at least 4 x 4"):
        high_frequencies(torch.rand(1, 1, 3, 8))
