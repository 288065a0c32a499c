"""The kernels of convolutions in every form, their averages and signs, and rows of mean 0."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import DataError, ModelError, UnsupportedError
from cnnaudit.models import lenet
from cnnaudit.units import kernels, layer_share, normalized


class Mixed(nn.Module):
    """A module, the same module again, a functional convolution, a grouped one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.weight = nn.Parameter(torch.randn(6, 4, 1, 5))
        self.grouped = nn.Conv2d(6, 8, 3, groups=2)
        self.unused = nn.Conv2d(1, 1, 3)

    def forward(self, images):
        x = self.conv(self.conv(images).relu())
        return self.grouped(functional.conv2d(x, self.weight)).mean((2, 3))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Mixed()


def test_with_an_image_every_call_of_the_pass_is_seen_once(model):
    found = kernels(model, torch.rand(2, 4, 12, 12))
    assert [layer.layer for layer in found] == ["conv:1", "/conv2d:1", "grouped"]
    expected = (model.conv.weight, model.weight, model.grouped.weight)
    for layer, weight in zip(found, expected):
        np.testing.assert_array_equal(layer.weights, weight.detach().numpy())
        assert layer.weights.dtype == np.float32
    assert [layer.groups for layer in found] == [1, 1, 2]
    assert [layer.size for layer in found] == [(3, 3), (1, 5), (3, 3)]


def test_without_an_image_the_modules_are_seen(model):
    assert [layer.layer for layer in kernels(model)] == ["conv", "grouped", "unused"]


def test_an_exported_graph_has_the_kernels_of_its_model():
    model, image = lenet().eval(), torch.rand(1, 1, 28, 28)
    graph = torch.export.export(model, (image,)).module()
    for found, expected in zip(kernels(graph, image), kernels(model), strict=True):
        assert found.layer == expected.layer
        np.testing.assert_array_equal(found.weights, expected.weights)


def test_the_model_is_left_as_it_was(model):
    model.train()
    found = kernels(model, torch.rand(1, 4, 12, 12))
    found[0].weights[:] = 7
    assert model.training and not model.conv._forward_hooks and (model.conv.weight != 7).all()


def test_averages_signs_and_rows_against_loops(model):
    layer = kernels(model, torch.rand(1, 4, 12, 12))[2]
    weights = model.grouped.weight.detach().double().numpy()
    for unit in range(8):
        mean = sum(weights[unit, c] for c in range(3)) / 3
        np.testing.assert_allclose(layer.averaged()[unit], mean, atol=1e-7)
        assert (layer.binarized()[unit] == np.where(mean > 0, 1, -1)).all()
        for c in range(3):
            row = unit * 3 + c
            np.testing.assert_array_equal(layer.each()[row], weights[unit, c].ravel().astype(np.float32))
            assert (layer.signs()[unit, c] == np.sign(weights[unit, c])).all()
            assert layer.unit_of(row) == unit
            assert layer.input_of(row) == c + (3 if unit >= 4 else 0)  # the second group reads channels 3 to 5


def test_one_pixel_is_not_spatial():
    layers = kernels(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, (1, 3))))
    assert [layer.spatial for layer in layers] == [False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_kernels_that_are_no_numbers_are_named(value):
    model = lenet()
    with torch.no_grad():
        model.conv2.weight[5, 0, 1, 1] = value
    with pytest.raises(ModelError, match=r"layer 'conv2': the kernels of 1 of 32 units .* first of unit 5"):
        kernels(model)


def test_a_model_without_convolutions_is_refused():
    with pytest.raises(UnsupportedError, match="give an image"):
        kernels(nn.Linear(2, 2))
    with pytest.raises(UnsupportedError, match=r"has no 2-d convolution$"):
        kernels(nn.Flatten(), torch.rand(1, 1, 2, 2))


@pytest.mark.parametrize("scale", ["variance", "norm"])
def test_normalized_rows(scale):
    rows = np.random.default_rng(0).normal(3, 2, (50, 9)).astype(np.float32)
    rows[7] = 0.1
    rows[9] = 0
    values, left = normalized(rows, scale)
    assert set(range(50)) - set(left) == {7, 9}
    np.testing.assert_allclose(values.mean(1), 0, atol=1e-6)
    size = values.std(1) if scale == "variance" else np.linalg.norm(values, axis=1)
    np.testing.assert_allclose(size, 1, rtol=1e-5)
    scores = [np.corrcoef(row, rows[k])[0, 1] for row, k in zip(values, left)]
    np.testing.assert_allclose(scores, 1, atol=1e-5)


def test_the_two_scales_differ_by_the_root_of_the_size():
    rows = np.random.default_rng(1).normal(size=(20, 25))
    np.testing.assert_allclose(normalized(rows)[0], 5 * normalized(rows, "norm")[0])


def test_rows_that_cannot_be_normalized():
    assert normalized(np.ones((3, 1)))[0].shape == (0, 1)
    assert normalized(np.ones((0, 9)))[0].shape == (0, 9)
    with pytest.raises(DataError, match="variance or norm"):
        normalized(np.ones((3, 2)), "max")
    with pytest.raises(DataError, match="finite"):
        normalized(np.full((3, 2), np.nan))


def test_a_share_has_its_exact_interval():
    row = layer_share("conv", 20, [])
    assert row.share == 0 and row.interval == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    with pytest.raises(DataError, match="units 0 to 19"):
        layer_share("conv", 20, [20])
