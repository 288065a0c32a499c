"""Predictions under replaced padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnaudit.checks.padding._layer_calls import padding_convolutions
from cnnaudit.checks.padding._small_networks import edge_network
from cnnaudit.checks.padding.prediction_flip import (
    noise_effects,
    noise_predictions,
    prediction_flip,
    replicate_predictions,
)
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.interventions import calls
from cnnaudit.target import AuditTarget


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


def test_a_model_without_padding_is_not_asked():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(200, 2))
    images = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0)).numpy()
    found = prediction_flip(AuditTarget.from_arrays("s", model, {"validation": (images, [0, 1] * 10)}, ("a", "b")))
    assert found.verdict == "not_applicable" and "pads its input" in found.summary


def test_an_untrained_copy_stands_beside_the_flips():
    found = prediction_flip(edge_network(1, "zeros", "polarity"))
    rows = found.evidence[0]["rows"]
    assert [row[0] for row in rows] == ["this model", "untrained copy"]
    assert rows[0][2] == found.statistic
    assert "conv" in found.summary


def test_few_images_do_not_decide():
    asked = edge_network(3, "replicate")
    split = asked.split("validation")
    few = {"validation": (split.read(range(0, 600, 30)), split.labels[::30])}
    small = AuditTarget.from_arrays("few", asked.model, few, asked.classes)
    found = prediction_flip(small, confidence=gate_confidence(16))
    assert found.verdict == "inconclusive" and found.n == 20
