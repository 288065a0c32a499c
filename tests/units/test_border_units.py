"""Units whose kernels' lines differ: against scipy, closed forms and planted kernels; the duality experiment."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import DataError, ModelError, UnsupportedError
from cnnaudit.core.statistics import derive_seed
from cnnaudit.interventions import LayerError, padding_rule, record
from cnnaudit.models import lenet
from cnnaudit.units import LayerKernels
from cnnaudit.units._noise_padding import noise_padding
from cnnaudit.units.border import (
    border_aware,
    border_distances,
    calibrated,
    layers_without_border,
    permuted,
    permuted_distances,
)


def by_definition(weights):
    """Largest minus smallest distance of two rows, and of two columns, pair by pair."""
    lines = (
        [weights[:, k].ravel() for k in range(weights.shape[1])],
        [weights[:, :, k].ravel() for k in range(weights.shape[2])],
    )
    answers = []
    for samples in lines:
        distances = [ks_2samp(a, b).statistic for a, b in combinations(samples, 2)]
        answers.append(max(distances) - min(distances) if len(samples) >= 3 else np.nan)
    return answers


@pytest.mark.parametrize("shape", [(5, 7, 3, 3), (4, 12, 5, 5), (3, 9, 1, 7), (3, 2, 7, 1), (2, 3, 3, 2), (2, 6, 4, 3)])
@pytest.mark.parametrize("ties", [False, True])
def test_distances_are_those_of_scipy(shape, ties):
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weights[:, :, -1] += 0.7
    weights = weights.round(0) if ties else weights
    found = border_distances(weights)
    expected = np.array([by_definition(unit) for unit in weights])
    np.testing.assert_allclose(found.rows, expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.columns, expected[:, 1], atol=1e-12)


def test_distances_do_not_depend_on_how_many_units_are_sorted_at_once(monkeypatch):
    weights = np.random.default_rng(1).normal(size=(7, 4, 3, 3))
    together = border_distances(weights)
    monkeypatch.setattr("cnnaudit.units.border._AT_ONCE", 1)
    np.testing.assert_array_equal(border_distances(weights).rows, together.rows)


def test_closed_forms():
    weights = np.zeros((3, 4, 3, 3))
    weights[0, :, 2] = 1  # one row apart: 1 - 0
    weights[1] += np.arange(3)[:, None]  # all rows apart: 1 - 1
    found = border_distances(weights)
    assert found.rows.tolist() == [1, 0, 0] and found.columns.tolist() == [0, 0, 0]
    assert found.joined("or").tolist() == [1, 0, 0] and found.joined("and").tolist() == [0, 0, 0]


def test_one_direction_decides_alone_where_there_is_one():
    weights = np.zeros((2, 4, 1, 3))
    weights[0, :, :, 0] = 1
    found = border_distances(weights)
    assert np.isnan(found.rows).all()
    assert found.joined("and").tolist() == found.joined("or").tolist() == [1, 0]


def planted(padding=1, channels=8, units=40, seed=0):
    """Random kernels; the first four units look for the left border."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(channels, units, 3, padding=padding), nn.ReLU(), nn.Conv2d(units, 5, 1))
    with torch.no_grad():
        model[0].weight[:4] = torch.randn(4, channels, 3, 3).abs() * 0.05
        model[0].weight[:4, :, :, 0] -= 0.4
        model[0].weight[:4, :, :, 1:] += 0.1
        model[0].bias[:4] = 0
    return model.eval()


def test_planted_units_are_found_in_the_right_direction():
    model = planted()
    (row,) = border_aware(model, rule="or")
    assert row.found == (0, 1, 2, 3) and row.share == 0.1 and row.null < 0.02
    assert row.null_name == "permuted kernels" and row.interval[0] < 0.1 < row.interval[1]
    assert border_aware(model, rule="and")[0].found == ()  # columns only
    (row,) = border_aware(model, "calibrated", "or")
    assert {0, 1, 2, 3} <= set(row.found) and len(row.found) <= 8 and row.null <= 0.01


def test_the_calibrated_threshold_is_exceeded_by_one_in_a_hundred_random_units():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(12, 3000, 3, padding=1))
    (row,) = border_aware(model, "calibrated", "or")
    assert row.null <= 0.01 and 0.005 < row.share < 0.015


def test_permuting_keeps_the_numbers_of_each_kernel():
    layer = LayerKernels("conv", np.random.default_rng(0).normal(size=(3, 2, 3, 3)).astype(np.float32))
    (weights,) = permuted(layer.weights, 1, np.random.default_rng(0))
    assert (weights != layer.weights).any()
    np.testing.assert_array_equal(np.sort(weights.reshape(6, 9)), np.sort(layer.each()))
    assert len(permuted_distances(layer, "or")) >= 2000
    np.testing.assert_array_equal(permuted_distances(layer, "or", 3), permuted_distances(layer, "or", 3))


def test_a_null_of_few_values_has_a_threshold_that_few_reach():
    null = np.repeat([0.0, 0.5, 1.0], [900, 80, 20])
    assert calibrated(null) > 1
    assert calibrated(np.arange(1000) / 1000) == 0.99


def test_layers_that_cannot_be_asked_are_left_out_or_refused():
    model, image = planted(), torch.rand(1, 8, 9, 9)
    assert [row.layer for row in border_aware(model, image=image)] == ["0"]
    assert layers_without_border(model, image) == {"2": "kernels of 1x1"}
    assert layers_without_border(model) == {"2": "kernels of 1x1"}
    with pytest.raises(UnsupportedError, match="could see a border: kernels of 1x1, no padding"):
        border_aware(planted(padding=0), image=image)
    with pytest.raises(UnsupportedError, match="could see a border: kernels of 2x2"):
        border_aware(nn.Sequential(nn.Conv2d(1, 2, 2)))
    assert border_aware(nn.Sequential(nn.Conv2d(1, 1, 3)))[0].units == 1
    with pytest.raises(DataError, match="and or or"):
        border_aware(model, rule="xor")
    with pytest.raises(DataError, match=r"in 0\.\.1, got 2"):
        border_aware(model, 2)
    broken = lenet()
    with torch.no_grad():
        broken.conv1.weight[0] = float("nan")
    with pytest.raises(ModelError, match="layer 'conv1'"):
        border_aware(broken)


def test_noise_silences_planted_units_and_not_those_that_answer_everywhere():
    torch.manual_seed(0)
    model = planted()
    with torch.no_grad():
        model[0].weight[4:8] = 0.1  # a blur
    found = noise_padding(model, torch.rand(12, 8, 14, 14), "0")
    assert found.confirmed[:4].all() and set(found.sides[:4]) == {"left"} and found.images == 6
    assert (found.border[:4] > 5 * found.interior[:4]).all()
    assert not found.specific[4:8].any() and not found.silenced[4:8].any() and found.kept[4:8].all()


def test_the_numbers_of_the_experiment_by_hand():
    """A unit that sums its three columns with -1, 1, 0: on a constant image it answers at the left border only."""
    model = nn.Sequential(nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([-1.0, 1.0, 0.0]).view(1, 1, 1, 3))
    images = torch.full((4, 1, 5, 5), 0.5)
    images[:, :, 0, 0] = 0.25  # a range for the noise: .25 to .5
    found = noise_padding(model, images, "0")
    assert found.sides.tolist() == ["left"]
    assert found.border[0] == pytest.approx((0.25 + 4 * 0.5) / 5)
    assert found.interior[0] == pytest.approx(0.25 / 15)
    assert 0 < found.noise_padding[0] < 0.25 and 0.25 < found.noise_inside[0] < 0.5
    assert found.confirmed[0]


class Block(nn.Module):
    """A padded convolution without bias, normalized, rectified in place, with a branch that reads it too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        x = functional.relu(self.norm(self.conv(x)), inplace=True)
        return functional.pad(x, (1, 1)).mean((2, 3))


def test_one_pass_tells_what_a_pass_with_replaced_padding_would():
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(1, 3, 1), Block()).eval(), torch.rand(8, 1, 15, 15)
    with torch.no_grad():
        model[1].norm.bias += 0.3
    found = noise_padding(model, images, "1.conv", seed=2)
    generator = torch.Generator().manual_seed(derive_seed(2, "1.conv", "duality"))
    with (
        padding_rule("noise", model=model, layers=["1.conv"], generator=generator),
        record(model, ["1/relu:1"]) as maps,
        torch.no_grad(),
    ):
        model(images)
    lines = {
        "top": (0, slice(1, -1)),
        "bottom": (-1, slice(1, -1)),
        "left": (slice(1, -1), 0),
        "right": (slice(1, -1), -1),
    }
    for unit in range(6):
        expected = maps["1/relu:1"][1::2, unit][:, *lines[found.sides[unit]]].mean()
        assert found.noise_padding[unit] == pytest.approx(float(expected), rel=1e-5)


def test_the_model_is_left_as_it_was_and_the_seed_decides():
    model, images = planted().train(), torch.rand(6, 8, 9, 9)
    state = torch.get_rng_state()
    first, second, other = (
        noise_padding(model, images, "0"),
        noise_padding(model, images, "0"),
        noise_padding(model, images, "0", seed=1),
    )
    assert model.training and not model[0]._forward_hooks and torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first.noise_padding, second.noise_padding)
    assert (first.noise_padding != other.noise_padding).any()
    np.testing.assert_array_equal(noise_padding(model, images, "0", [5, 2]).border, first.border[[5, 2]])


def test_experiments_that_make_no_sense_are_refused():
    model, images = planted(), torch.rand(4, 8, 9, 9)
    with pytest.raises(UnsupportedError, match="layer 2: puts no padding"):
        noise_padding(model, images, "2")
    with pytest.raises(UnsupportedError, match="reaches every position"):
        noise_padding(model, torch.rand(4, 8, 2, 2), "0")
    with pytest.raises(LayerError, match="no 2-d convolution of a pass is called 'conv'"):
        noise_padding(model, images, "conv")
    with pytest.raises(DataError, match="units 0 to 39, got"):
        noise_padding(model, images, "0", [40])
    with pytest.raises(DataError, match="at least 2 images"):
        noise_padding(model, images[:1], "0")
