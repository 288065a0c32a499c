"""Networks, images and an import path that is put back."""

from __future__ import annotations

import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def import_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(scope="module")
def resnet():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = resnet18(num_classes=5)
    images = torch.rand(8, 3, 64, 64)
    network(images)  # running statistics that differ from their start
    return network.eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def check_equal():
    """Whether a loaded model answers as the eager network does."""

    def check(loaded, network, images, tolerance=0.0):
        with torch.no_grad():
            torch.testing.assert_close(loaded.model(images), network(images), rtol=0, atol=tolerance)
        assert not loaded.model.training and loaded.device == "cpu"

    return check
