"""Weight files: held against the network, and refused with the reason."""

from __future__ import annotations

import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.target.weights import load_weights


def quietly(function, *arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("1.bias"), ["another architecture", "it lacks '1.bias' of the network's 2 entries"]),
        (lambda s: s.update(extra=torch.ones(1)), ["the network has no 'extra'"]),
        (
            lambda s: s.update({"1.wieght": s.pop("1.weight")}),
            ["it lacks '1.weight'", "no '1.wieght'; did you mean '1.weight'?"],
        ),
        (
            lambda s: s.update({"1.bias": torch.ones(3)}),
            ["'1.bias' (3,), the network has (2,)", "model.arguments"],
        ),
    ],
)
def test_weights_of_another_architecture_are_compared_with_the_network(tmp_path, change, said):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    state = network.state_dict()
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        load_weights(network, tmp_path / "w.safetensors")
    assert all(part in str(caught.value) for part in ["model.weights: w.safetensors", *said])


def test_many_differences_are_listed_shortly(tmp_path):
    from torchvision.models import resnet18, resnet34

    save_file(resnet34().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        load_weights(resnet18(), tmp_path / "w.safetensors")
    assert "and 93 more" in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("w.safetensors", b"hello", "is not a safetensors file"),
        ("w.pt", b"hello", "is no file of torch.save, or damaged"),
        ("w.pt", b"PK\x03\x04" + bytes(50), "is no file of torch.save, or damaged"),
        ("list.pt", [torch.ones(2)], "holds a list, expected a state dict"),
        ("net.pt", nn.Linear(2, 2), "is a pickle that wants torch.nn.modules.linear.Linear"),
        ("script.pt", "script", "is a TorchScript model; name it as model.source"),
    ],
)
def test_a_weight_file_that_cannot_be_read_is_explained(tmp_path, name, data, said):
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    elif data == "script":
        quietly(lambda: torch.jit.script(nn.Linear(2, 2)).save(tmp_path / name))
    else:
        torch.save(data, tmp_path / name)
    with pytest.raises(ModelError) as caught:
        load_weights(nn.Linear(2, 2), tmp_path / name)
    assert f"{name} {said}" in str(caught.value) and "weights_only" not in str(caught.value)
