"""Pictures of units: which, how strong, and nothing beyond the receptive field."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity._deconvnet import (
    against_definition,
    outside_receptive_field,
    rectified_maps,
    strongest_units,
)
from cnnaudit.core.errors import UnsupportedError

IMAGES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    features = nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 2)).eval()


def test_rectified_maps_are_maps():
    assert rectified_maps(network(), IMAGES) == ["1", "3"]


def test_the_strongest_units_are_those_of_the_largest_activations():
    model = network()
    with torch.no_grad():
        answers = model[:4](IMAGES).flatten(2).amax(2).mean(0)
    assert strongest_units(model, IMAGES, "3", 2) == answers.argsort(descending=True)[:2].tolist()
    nn.init.constant_(model[2].bias, -99)
    with pytest.raises(UnsupportedError, match="dead"):
        strongest_units(model, IMAGES, "3")


def test_nothing_lies_outside_the_receptive_field():
    found = outside_receptive_field(network(), IMAGES[:1], ["1", "3"])
    assert [item.layer for item in found] == ["1", "3"]
    assert all(item.share == 0 for item in found)


def test_class_and_unit_are_those_of_the_definition():
    model = network()
    found = against_definition(model, IMAGES, model(IMAGES).argmax(1))
    assert [item.layer for item in found] == ["", "3"]
    assert all(item.share < 1e-10 for item in found)
