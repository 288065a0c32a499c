"""The model that takes pixels: preprocessing, its registry, copies, precision and batches."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from cnnaudit.target import InputSpec
from cnnaudit.target.pixels import PixelModel

RGB = InputSpec(channels=3, size=(64, 64))

GRAY = InputSpec(channels=1, size=(4, 4))


class Nameless(nn.Module):
    """Layers with the names that a wrapper might take for itself."""

    def __init__(self):
        super().__init__()
        self.network, self.model, self.body = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 6)
        self.register_buffer("mean", torch.ones(6))
        self.register_buffer("std", torch.ones(6), persistent=False)
        self.free = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.body(self.model(self.network(x)).mean((2, 3))) * self.free + self.mean / self.std


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
@pytest.mark.parametrize("mean", [(0.0,), (0.5, 0.25, 0.125)])
@pytest.mark.parametrize("indices", [None, (4, 0, 1)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_preprocessing_and_classes_against_a_direct_computation(order, scale, mean, indices, probabilities):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    if probabilities:
        network[0].weight.data /= 1000  # no probability of zero
        network.append(nn.Softmax(1))
    spec = InputSpec(channels=3, size=(5, 5), order=order, scale=scale, mean=mean, std=(0.5, 2.0, 4.0))
    pixels = torch.rand(4, 3, 5, 5)
    planes = []
    for position in range(3):
        channel = pixels[:, position if order == "RGB" else 2 - position]
        planes.append((channel * scale - mean[position % len(mean)]) / (0.5, 2.0, 4.0)[position])
    expected = network(torch.stack(planes, 1))
    expected = expected if indices is None else expected[:, list(indices)]
    expected = expected.log() if probabilities else expected
    torch.testing.assert_close(
        PixelModel(network, spec, indices, "probabilities" if probabilities else "logits")(pixels), expected
    )


def test_a_probability_of_zero_has_a_finite_logarithm():
    model = PixelModel(nn.Sequential(nn.Flatten(), nn.Hardtanh(0, 1)), InputSpec(1, (1, 2)), outputs="probabilities")
    logits = model(torch.tensor([[[[0.0, 1.0]]]]))
    assert logits.isfinite().all() and logits[0, 1] == 0 and logits[0, 0] < -80


def test_the_registry_is_the_users_whatever_its_names():
    network = Nameless()
    model = PixelModel(network, RGB)
    assert [name for name, _ in model.named_modules()] == ["", "network", "model", "body"]
    assert model.state_dict().keys() == network.state_dict().keys()
    assert {name for name, _ in model.named_buffers()} == {name for name, _ in network.named_buffers()}
    assert model.get_submodule("body") is network.body and model.mean is network.mean
    assert [id(p) for p in model.parameters()] == [id(p) for p in network.parameters()]


def test_modes_reach_the_network():
    network = Nameless()
    model = PixelModel(network, RGB).eval()
    assert not any(module.training for module in [*model.modules(), *network.modules()])
    model.train()
    assert all(module.training for module in [*model.modules(), *network.modules()])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_independent_and_still_one_registry(clone):
    model = PixelModel(Nameless(), RGB, class_indices=(3, 1)).eval()
    x = torch.rand(2, 3, 8, 8)
    before, twin = model(x), clone(model)
    assert torch.equal(twin(x), before) and not twin.training
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
        twin.mean.zero_()
    assert torch.equal(model(x), before)
    assert not twin(x).any()
    assert twin.double()(x.double()).dtype == torch.float64  # conversion reaches what forward uses, buffers too
    assert model(x).dtype == torch.float32


def test_a_network_of_half_precision_takes_float_pixels_and_answers_float():
    model = PixelModel(Nameless().eval().bfloat16(), RGB)
    answer = model(torch.rand(2, 3, 8, 8))
    assert answer.dtype == torch.float32 and answer.isfinite().all()


@pytest.mark.parametrize("n", [1, 3, 4, 5, 9])
def test_a_fixed_batch_size_is_filled_up(n):
    sizes = []

    class Fixed(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x.flatten(1) * 2

    x = torch.rand(n, 1, 2, 2)
    assert torch.equal(PixelModel(Fixed(), GRAY, batch=4)(x), x.flatten(1) * 2)
    assert set(sizes) == {4} and len(sizes) == -(-n // 4)


def test_gradients_reach_the_pixels():
    model = PixelModel(Nameless().eval(), InputSpec(3, (8, 8), order="BGR", scale=255, mean=(3.0,), std=(7.0,)))
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    assert gradient.shape == x.shape and gradient.any()
