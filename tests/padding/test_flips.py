"""Predictions under replaced padding, and the untrained copy."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnaudit.interventions import calls
from cnnaudit.padding.flips import (
    noise_effects,
    noise_predictions,
    padding_convolutions,
    replicate_predictions,
    untrained_twin,
)


class Corner(nn.Module):
    """Class 1 where the corner of the second convolution's map is negative; the first one's padding does not matter."""

    def __init__(self, padding_mode: str = "zeros"):
        super().__init__()
        self.idle = nn.Conv2d(1, 1, 3, padding=1)
        self.read = nn.Conv2d(1, 1, 3, padding=1, padding_mode=padding_mode)
        with torch.no_grad():
            self.idle.weight.zero_()
            self.idle.weight[0, 0, 1, 1] = 1
            self.idle.bias.zero_()
            self.read.weight.fill_(1)
            self.read.bias.fill_(-6.5)

    def forward(self, x):
        corner = self.read(self.idle(x))[:, 0, 0, 0]
        return torch.stack([corner, -corner], 1)


@pytest.fixture
def white():
    return torch.ones(40, 1, 9, 9)


def test_only_padding_layers_are_named(white):
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3), nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3))
    assert padding_convolutions(calls(model, white[:1])) == ["0", "3"]


@torch.no_grad()
def test_replicate_padding_changes_what_the_zeros_decided(white):
    model = Corner()
    assert model(white).argmax(1).tolist() == [1] * 40  # 4 white pixels and 5 zeros
    assert replicate_predictions(model, white, model).tolist() == [0] * 40  # 9 white pixels
    model = Corner("replicate")
    assert torch.equal(replicate_predictions(model, white, model), model(white).argmax(1))


@torch.no_grad()
def test_the_layer_whose_padding_matters_comes_first(white):
    images = white.clone()
    images[:, :, 4, 4] = 0  # the range of the noise: 0 to 1
    model = Corner()
    first, second = noise_effects(model, model, images, ["idle", "read"], torch.Generator().manual_seed(0))
    assert (first.layer, second.layer) == ("read", "idle")
    assert second.flips == second.change == 0  # its kernel sees no padding
    assert 0.3 < first.flips < 0.7  # five uniform numbers exceed 2.5 half of the time
    noisy = noise_predictions(model, images, model, "read", torch.Generator().manual_seed(1))
    assert 0.3 < float((noisy != model(images).argmax(1)).double().mean()) < 0.7
    assert torch.equal(noisy, noise_predictions(model, images, model, "read", torch.Generator().manual_seed(1)))


def trained_network() -> nn.Sequential:
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(4 * 81, 2)).eval()
    with torch.no_grad():
        model[0].weight.fill_(7)
        model[1].running_mean.fill_(3)
    return model


def test_the_twin_is_drawn_anew_and_measured_on_the_images():
    model = trained_network()
    before, state = [value.clone() for value in model.state_dict().values()], torch.get_rng_state()
    images = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    twin = untrained_twin(model, images, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values()))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in twin.modules())
    assert float(twin[0].weight.detach().abs().max()) < 1
    with torch.no_grad():
        expected = twin[0](images).mean((0, 2, 3))
    assert torch.allclose(twin[1].running_mean, expected, atol=1e-5)
    again, other = untrained_twin(model, images, seed=3), untrained_twin(model, images, seed=4)
    assert torch.equal(twin[0].weight, again[0].weight) and not torch.equal(twin[0].weight, other[0].weight)


def test_no_twin_where_parameters_belong_to_no_module_that_draws_them():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 1, 3, 3))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight).flatten(1)

    assert untrained_twin(Bare(), torch.rand(2, 1, 9, 9), seed=0) is None
