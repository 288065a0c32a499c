"""torch.export archives: of any batch size and of one, and of another image size."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cnnaudit.checks.audit_file import load_target
from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load

RGB = InputSpec(channels=3, size=(64, 64))


class Buffered(nn.Module):
    """Buffers with the names that a wrapper might take for itself, one of them not stored."""

    def __init__(self):
        super().__init__()
        self.network, self.model = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.register_buffer("mean", torch.ones(6))
        self.register_buffer("std", torch.ones(6), persistent=False)

    def forward(self, x):
        return self.model(self.network(x)).mean((2, 3)) + self.mean / self.std


DATA = "import torch\n\ndef data(n=6): return torch.rand(n, 1, 4, 4), torch.arange(n) % 2\n"
BATCH = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}


@pytest.fixture
def check_export(check_equal, images, tmp_path):
    def check(network, example, **shapes):
        torch.export.save(torch.export.export(network, (example,), **shapes), tmp_path / "m.pt2")
        loaded = load(ModelSource("demo", tmp_path / "m.pt2", device="cpu"), RGB, tmp_path)
        check_equal(loaded, network, images, tolerance=1e-5)
        names = {name for name, _ in network.named_parameters()}
        assert {name for name, _ in loaded.model.named_parameters()} == names and not loaded.inside_reason
        assert not any(module.training for module in loaded.model.modules())
        return loaded.model

    return check


def test_an_exported_model_of_any_batch_size(resnet, check_export):
    check_export(resnet, torch.rand(2, 3, 64, 64), **BATCH)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_an_exported_model_of_one_batch_size(images, check_export, batch):
    model = check_export(Buffered().eval(), torch.rand(batch, 3, 64, 64))
    twin = copy.deepcopy(model)
    twin.mean = twin.mean + 1  # a copy, too, has one registry with its network
    torch.testing.assert_close(twin(images), model(images) + 1)


def test_an_export_of_another_size_says_what_it_wants(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(25, 2)).eval()
    torch.export.save(torch.export.export(network, (torch.rand(1, 1, 5, 5),)), tmp_path / "m.pt2")
    (tmp_path / "answers.py").write_text(DATA)
    (tmp_path / "audit.toml").write_text(
        "[model]\nname = 'demo'\nsource = 'm.pt2'\ndevice = 'cpu'\n[input]\nchannels = 1\nsize = 4\n"
        "[data]\nvalidation = 'answers:data'\nclasses = ['a', 'b']\n"
    )
    with pytest.raises(ModelError, match=r"input\.size = \[4, 4\].*shape\[2\] to be equal to 5, but got 4"):
        load_target(tmp_path / "audit.toml")
