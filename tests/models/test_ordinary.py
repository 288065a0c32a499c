"""The small ordinary networks."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import ModelError
from cnnaudit.models import small_mobilenet, small_resnet, small_vgg
from cnnaudit.models.blocks import Residual

NETWORKS = {
    "vgg": lambda: small_vgg(5, 32, 3),
    "leaky": lambda: small_vgg(5, 32, 3, activation="leaky_relu"),
    "silu": lambda: small_vgg(5, 32, 3, activation="silu"),
    "average": lambda: small_vgg(5, 32, 3, hidden=None),
    "resnet": lambda: small_resnet(5, 3),
    "mobilenet": lambda: small_mobilenet(5, 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_five_classes_and_pickled_alike(name: str) -> None:
    model, images = NETWORKS[name]().eval(), torch.rand(4, 3, 32, 32)
    assert model(images).shape == (4, 5)
    assert torch.equal(pickle.loads(pickle.dumps(model))(images), model(images))


def test_vgg_is_its_formula() -> None:
    model, x = small_vgg(3, 12, 1, filters=(2, 4), hidden=6, activation="leaky_relu"), torch.rand(2, 1, 12, 12)
    p = dict(model.named_parameters())
    y = x
    for k in (1, 2):
        y = functional.conv2d(y, p[f"conv{k}.weight"], p[f"conv{k}.bias"], padding=1)
        y = functional.max_pool2d(torch.where(y > 0, y, 0.1 * y), 2)
    y = y.flatten(1) @ p["hidden.weight"].T + p["hidden.bias"]
    y = torch.where(y > 0, y, 0.1 * y) @ p["output.weight"].T + p["output.bias"]
    torch.testing.assert_close(model(x), y)


def test_global_average_pooling_takes_any_size_and_averages() -> None:
    model = small_vgg(3, 32, 1, hidden=None)
    maps = model[: list(dict(model.named_children())).index("average")](torch.ones(1, 1, 40, 24))
    expected = maps.mean((2, 3)) @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(torch.ones(1, 1, 40, 24)), expected)


def test_a_residual_block_adds_its_input() -> None:
    block, x = Residual(4, 4, 1).eval(), torch.randn(2, 4, 6, 6)
    nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(x), x.relu())
    assert Residual(4, 8, 2)(x).shape == (2, 8, 3, 3)


def test_depthwise_convolutions_see_one_channel_each() -> None:
    layers = [layer for layer in small_mobilenet().modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert [layer.weight.shape[:2] for layer in layers] == [(16, 1), (32, 1)]


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ModelError, match="activation must be relu, leaky_relu or silu, got 'tanh'"):
        small_vgg(activation="tanh")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="images of 6 pixels are too small to be pooled 3 times"):
        small_vgg(size=6)
