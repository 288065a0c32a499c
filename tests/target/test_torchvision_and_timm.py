"""Networks of torchvision and timm, with weights: the eager logits under their own layer names."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from safetensors.torch import save_file

from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load

RGB = InputSpec(channels=3, size=(64, 64))


@pytest.mark.parametrize("how", ["safetensors", "pt", "nested", "parallel", "compiled"])
def test_torchvision_with_weights(resnet, images, tmp_path, how, check_equal):
    state = resnet.state_dict()
    path = tmp_path / ("w.safetensors" if how == "safetensors" else "w.pt")
    if how == "safetensors":
        save_file(state, path)
    elif how == "nested":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        prefix = {"pt": "", "parallel": "module.", "compiled": "_orig_mod."}[how]
        torch.save({f"{prefix}{name}": value for name, value in state.items()}, path)
    loaded = load(ModelSource("demo", "torchvision:resnet18", {"num_classes": 5}, path, device="cpu"), RGB, tmp_path)
    check_equal(loaded, resnet, images)
    assert [name for name, _ in loaded.model.named_modules()] == [name for name, _ in resnet.named_modules()]
    assert loaded.model.state_dict().keys() == state.keys() and not loaded.inside_reason


def test_timm(images, tmp_path, check_equal):
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_resnet", num_classes=3).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    source = ModelSource("demo", "timm:test_resnet", {"num_classes": 3}, tmp_path / "w.safetensors", device="cpu")
    loaded = load(source, RGB, tmp_path)
    check_equal(loaded, network, images)
    assert [name for name, _ in loaded.model.named_modules()] == [name for name, _ in network.named_modules()]


def test_timm_that_is_not_installed_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=re.escape("pip install cnnaudit[timm]")):
        load(ModelSource("demo", "timm:test_resnet"), RGB, tmp_path)


def test_random_weights_are_the_same_in_every_run_and_leave_the_generator_alone(tmp_path):
    source = ModelSource("demo", "torchvision:squeezenet1_1", {"num_classes": 2}, device="cpu")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (load(source, RGB, tmp_path).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)
