"""The input of a call, by whatever way the call is made."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, calls, input_of, record
from cnnaudit.interventions.inputs import weights_of


class Functional(nn.Module):
    """Pooling, flattening and the linear layer as plain calls."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.weight = nn.Parameter(torch.rand(3, 2))

    def forward(self, images):
        return functional.linear(torch.relu(self.conv(images)).mean((2, 3)), self.weight)


def test_the_input_of_a_functional_call():
    model, images = Functional(), torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        expected = model.conv(images).relu().mean((2, 3))
        assert torch.equal(input_of(model, images, "/linear:1"), expected)


def test_the_input_of_a_module_called_twice():
    layer = nn.Linear(3, 3)
    model, x = nn.Sequential(layer, nn.ReLU(), layer), torch.rand(2, 3)
    assert torch.equal(input_of(model, x, "0:2"), layer(x).relu())
    assert torch.equal(input_of(model, x, "0:1"), x)


def test_the_input_in_an_exported_graph():
    model, images = Functional().eval(), torch.rand(4, 1, 8, 8)
    graph = torch.export.export(model, (images,)).module()
    name = next(call.name for call in calls(graph, images) if call.kind == "linear")
    assert torch.allclose(input_of(graph, images, name), input_of(model, images, "/linear:1"))


def test_the_model_is_left_as_it_was_and_contexts_around_go_on():
    model, images = Functional(), torch.rand(4, 1, 8, 8)
    with record(model, ["conv"]) as values:
        input_of(model, images, "/linear:1")
        assert values["conv"].shape == (4, 2, 6, 6)
    assert not model._forward_hooks and not model.conv._forward_pre_hooks
    assert model(images).shape == (4, 3)


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(LayerError, match="no layer 'fc'"):
        input_of(Functional(), torch.rand(1, 1, 8, 8), "fc")
    with pytest.raises(LayerError, match="was not reached"):
        input_of(Functional(), torch.rand(1, 1, 8, 8), "/linear:2")


def test_the_weights_of_a_convolution_in_every_form():
    model, images = Functional().eval(), torch.rand(4, 1, 8, 8)
    graph = torch.export.export(model, (images,)).module()
    for form in (model, graph, torch.fx.symbolic_trace(model)):
        weight, bias = weights_of(form, images, "conv")
        assert torch.equal(weight, model.conv.weight) and torch.equal(bias, model.conv.bias)
    bare = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False, padding="same", padding_mode="circular"))
    weight, bias = weights_of(bare, images, "0")
    assert torch.equal(weight, bare[0].weight) and bias is None
    for layer, kind in (("/linear:1", "linear"), ("/relu:1", "relu")):
        with pytest.raises(UnsupportedError, match=f"is a {kind}, not a convolution"):
            weights_of(model, images, layer)
