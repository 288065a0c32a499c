"""Where units are read, and what they answer: against plain forward passes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.models import lenet
from cnnaudit.units.responses import all_outlets, measure, outlets


class Branches(nn.Module):
    """Two convolutions side by side whose activations come later, in the other order, one of them in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
        self.c, self.out = nn.Conv2d(5, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        b = functional.relu_(self.norm(b))
        both = torch.cat([a.relu(), b], 1)
        return self.out(self.c(both).mean((2, 3)))


def test_an_activation_belongs_to_the_layer_whose_output_it_takes():
    found = outlets(Branches().eval(), torch.rand(2, 1, 6, 6))
    assert [(o.layer, o.call, o.before, o.units, o.rectified) for o in found] == [
        ("a", "/relu:2", "a/conv2d:1", 2, True),
        ("b", "/relu:1", "norm/batch_norm:1", 3, True),
        ("c", "c/conv2d:1", "c/conv2d:1", 4, False),
    ]
    assert all(o.spatial for o in found)


def test_dense_layers_count_with_an_activation_and_logits_do_not():
    found = outlets(lenet((4,), hidden=6), torch.rand(1, 1, 28, 28))
    assert [(o.layer, o.spatial, o.units) for o in found] == [("conv1", True, 4), ("hidden", False, 6)]


def test_answers_are_those_of_a_plain_pass_in_any_batches_and_versions():
    torch.manual_seed(0)
    net, images = Branches().eval(), torch.rand(5, 1, 6, 6)
    chosen = outlets(net, images)
    with torch.no_grad():
        a, b = net.a(images).relu(), net.norm(net.b(images)).relu()
        expected = [a, b, net.c(torch.cat([a, b], 1))]
    for batch_size in (1, 2, 16):
        found = measure(net, images, chosen, lambda answers: answers[0].mean(2), batch_size=batch_size)
        for values, maps in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, maps.mean((2, 3)).numpy(), atol=1e-6)
    twice = measure(net, images, chosen, lambda v: (v[1] - v[0]).mean(2), versions=lambda x: torch.stack([x, 1 - x]))
    with torch.no_grad():
        np.testing.assert_allclose(twice[0], (net.a(1 - images).relu() - a).mean((2, 3)).numpy(), atol=1e-6)


def test_the_model_is_left_as_it_was():
    net = Branches().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    measure(net, torch.rand(2, 1, 6, 6), outlets(net, torch.rand(1, 1, 6, 6)), lambda answers: answers[0])
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UnsupportedError, match="no 2-d convolution and no dense layer"):
        outlets(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.rand(1, 1, 2, 2))
    with pytest.raises(DataError, match="floating-point"):
        outlets(lenet(), torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    net = lenet()
    chosen = outlets(net, torch.rand(1, 1, 28, 28))
    net.batch = 4
    with pytest.raises(UnsupportedError, match="batches of 4 images only"):
        measure(net, torch.rand(4, 1, 28, 28), chosen, lambda v: v[0], versions=lambda x: torch.stack([x, x]))


class Tokens(nn.Module):
    """A patch embedding and the MLP of a transformer, with a bias that is computed once for all images."""

    def __init__(self):
        super().__init__()
        self.embedding, self.up, self.down, self.head = nn.Conv2d(1, 4, 2, 2), *(nn.Linear(*s) for s in SIZES)
        self.bias = nn.Sequential(nn.Linear(2, 5), nn.ReLU())

    def forward(self, x):
        tokens = self.embedding(x).flatten(2).transpose(1, 2) + self.bias(torch.ones(1, 1, 2))[..., :4]
        return self.head((tokens + self.down(functional.gelu(self.up(tokens)))).mean(1))


SIZES = (4, 6), (6, 4), (4, 2)


def test_the_mlps_of_a_transformer_are_read_token_by_token():
    torch.manual_seed(0)
    net, images = Tokens().eval(), torch.rand(3, 1, 6, 6)
    found = outlets(net, images)
    assert [(o.layer, o.units, o.rectified) for o in found] == [("embedding", 4, False), ("up", 6, True)]
    assert [o.layer for o in all_outlets(net, images)] == ["embedding", "up", "down", "head"]
    with torch.no_grad():
        tokens = net.embedding(images).flatten(2).transpose(1, 2) + net.bias(torch.ones(1, 1, 2))[..., :4]
        expected = functional.gelu(net.up(tokens)).amax(1)
    highest = measure(net, images, found, lambda answers: answers[0].amax(2))[1]
    np.testing.assert_allclose(highest, expected.numpy(), atol=1e-6)


def test_activations_behind_pooling_and_dropout_are_the_layers_own_and_softplus_is_none():
    layers = nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Dropout2d(), nn.ReLU(), nn.Conv2d(2, 3, 2), nn.Softplus()
    found = outlets(nn.Sequential(*layers).eval(), torch.rand(1, 1, 8, 8))
    assert [(o.layer, o.call, o.before, o.rectified) for o in found] == [
        ("0", "3/relu:1", "0/conv2d:1", True),
        ("4", "4/conv2d:1", "4/conv2d:1", False),
    ]


def test_an_activation_of_the_layers_own_output_is_found_beside_a_pooled_branch():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            x = self.layer(x)
            return functional.max_pool2d(x, 2).mean((2, 3)) + x.relu().mean((2, 3))

    assert outlets(Branch(), torch.rand(1, 1, 8, 8))[0].call == "/relu:1"
