"""Few methods, small models and a trained LeNet for the tests of the family."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch
from torch import nn

from cnnaudit.attribution import methods
from cnnaudit.checks.small_targets import plain
from cnnaudit.target import AuditTarget

FEW = ("gradient", "deconvnet", "guided_backpropagation", "edges", "blank")


@pytest.fixture
def few_methods(monkeypatch):
    """Only the cheap methods, so that a test takes a second; their names."""
    chosen = MappingProxyType({name: methods.METHODS[name] for name in FEW})
    monkeypatch.setattr(methods, "METHODS", chosen)
    return FEW


@pytest.fixture
def small():
    """Makes a target of two classes from a model and random images."""

    def make(model: nn.Module, n: int = 20, images: torch.Tensor | None = None) -> AuditTarget:
        if images is None:
            images = torch.rand(n, 1, 12, 12, generator=torch.Generator().manual_seed(0))
        split = {"validation": (images.numpy(), torch.arange(len(images)).remainder(2).numpy())}
        return AuditTarget.from_arrays("small", model, split, ("a", "b"))

    return make


@pytest.fixture
def classifier():
    """Makes a model of two classes from layers, by one seed."""

    def make(*layers: nn.Module) -> nn.Sequential:
        torch.manual_seed(0)
        for layer in layers:  # made before the seed was set
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
        model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2)).eval()
        model(torch.zeros(1, 1, 12, 12))
        return model

    return make


@pytest.fixture(scope="session")
def lenet():
    return plain(1, "digits", trained=True)
