"""Weights under the names that training code gives them: loaded, or refused for the true reason."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.target.weights import WeightsWarning, load_weights, read_weights


def network(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


class Tied(nn.Module):
    def __init__(self, seed=0):
        torch.manual_seed(seed)
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Conv2d(3, 2, 3)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.f = nn.LazyConv2d(4, 3), nn.LazyLinear(2)

    def forward(self, x):
        return self.f(self.c(x).mean((2, 3)))


def check_loaded(state, path, key=None):
    torch.save(state, path)
    own = network(2)
    load_weights(own, path, key)
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in network().state_dict().items())


def prefixed(prefix):
    return {f"{prefix}{name}": value for name, value in network().state_dict().items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "module.module.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "model.",
        "model._orig_mod.",
        "net.",
        "x.",
    ],
)
def test_prefixes_in_any_order_are_taken_off(tmp_path, prefix):
    check_loaded(prefixed(prefix), tmp_path / "w.pt")


def test_a_child_that_is_called_module_keeps_its_name(tmp_path):
    torch.save(Holder().state_dict(), tmp_path / "w.pt")
    load_weights(Holder(), tmp_path / "w.pt")


@pytest.mark.parametrize("key", ["net", "params", "model", "ema", "model_ema", "state_dict", "model_state_dict"])
@pytest.mark.filterwarnings("ignore")
def test_the_only_state_of_a_checkpoint_is_taken(tmp_path, key):
    check_loaded(
        {"epoch": 3, "best": torch.ones(()), key: prefixed("module."), "optimizer": {"state": {}}}, tmp_path / "w.pt"
    )


def test_what_was_taken_is_told(tmp_path):
    torch.save({"ema": network().state_dict()}, tmp_path / "w.pt")
    with pytest.warns(WeightsWarning, match=r"those that w\.pt holds as 'ema'"):
        read_weights(tmp_path / "w.pt")


def test_of_a_model_and_its_average_one_is_asked_for(tmp_path):
    path = tmp_path / "w.pt"
    both = {"model": network(5).state_dict(), "ema": network().state_dict()}
    torch.save(both, path)
    with pytest.raises(ModelError, match=r"holds several states, 'model' and 'ema'|'model', 'ema'.*model.weights_key"):
        load_weights(network(), path)
    check_loaded(both, path, "ema")
    with pytest.raises(ModelError, match=r"model\.weights_key = 'emma': .* has no such key, it holds 'model', 'ema'"):
        read_weights(path, "emma")


def test_lightnings_checkpoint_loads_and_tells_what_is_of_its_loss(tmp_path):
    state = {**prefixed("model."), "criterion.weight": torch.ones(2)}
    with pytest.warns(WeightsWarning, match=r"also holds 'criterion\.weight'"):
        check_loaded({"pytorch-lightning_version": "2.4", "state_dict": state}, tmp_path / "w.ckpt")


def test_leftovers_and_missing_counters_are_no_other_architecture(tmp_path):
    state = {**prefixed(""), "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)}
    del state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "w.pt")
    own = network(2)
    load_weights(own, tmp_path / "w.pt")
    assert torch.equal(own[0].weight, network()[0].weight)


def test_tied_weights_need_to_be_there_once(tmp_path):
    save_model(Tied(1), str(tmp_path / "w.safetensors"))
    own = Tied(2)
    load_weights(own, tmp_path / "w.safetensors")
    assert torch.equal(own.b.weight, Tied(1).a.weight) and own.b.weight is own.a.weight


def test_weights_that_differ_where_the_network_ties_them_are_refused(tmp_path):
    state = {name: value.clone() for name, value in Tied(1).state_dict().items()}
    state["b.weight"] += 1
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"different values as 'a\.weight' and 'b\.weight'"):
        load_weights(Tied(), tmp_path / "w.pt")


def test_lazy_modules_take_the_shapes_of_the_file(tmp_path):
    trained, own, x = Lazy(), Lazy(), torch.rand(2, 3, 8, 8)
    expected = trained(x)
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    load_weights(own, tmp_path / "w.pt")
    assert torch.equal(own(x), expected)
