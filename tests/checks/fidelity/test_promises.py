"""Every kind of damage is seen, every ReLU is found by what it does, and a clean model has nothing to say."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.attribution import METHODS
from cnnaudit.checks.fidelity._promises import (
    changes,
    differs,
    follows_rule,
    integrity,
    keeps_itself,
    leaves_alone,
    meets_negative_gradient,
    rectifying_calls,
    state_of,
)

IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    return nn.Sequential(*layers).eval()


def scale_weights(model):
    model[0].weight.data.mul_(1.0000001)


def count(model):
    model[1].num_batches_tracked.add_(1)


def leave_gradient(model):
    model(IMAGES).sum().backward()


def leave_hook(model):
    model[2].register_forward_hook(lambda *_: None)


DAMAGE = {
    "parameter 0.weight": scale_weights,
    "buffer 1.num_batches_tracked": count,
    "gradient of 4.weight": leave_gradient,
    "requires_grad of 0.bias": lambda model: model[0].bias.requires_grad_(False),
    "mode of 1": lambda model: model[1].train(),
    "hooks of 2": leave_hook,
    "random state": lambda model: torch.rand(1),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_each_kind_of_damage_is_named(what):
    model = network()
    before = state_of(model)
    assert changes(before, state_of(model)) == []
    DAMAGE[what](model)
    assert what in changes(before, state_of(model))

    def method(net, images, classes):
        DAMAGE[what](net)
        return images

    clean = network()
    found = leaves_alone(clean, IMAGES, CLASSES, clean(IMAGES), "method", method)
    assert any(what in item.promise for item in found)


def test_changed_images_are_damage_too():
    model = network()
    found = leaves_alone(model, IMAGES, CLASSES, model(IMAGES), "method", lambda m, x, c: x.mul_(2))
    assert [item.promise for item in found] == ["the images stay as they were"]


def test_the_methods_keep_their_promises():
    methods = {
        name: lambda m, x, c, method=method: method.compute(m, x, c, torch.Generator().manual_seed(0))
        for name, method in METHODS.items()
        if name not in ("lime", "integrated_gradients", "smooth_grad")
    }
    found = integrity(network(), IMAGES, CLASSES, methods)
    assert found.broken == []
    assert {"the model", "deconvnet rule", "guided rule", "gradient"} <= set(found.asked)
    assert "cam" in found.refused


class Rectifiers(nn.Module):
    """One ReLU of each way to write it."""

    def __init__(self, kinds: str) -> None:
        super().__init__()
        self.relu, self.kinds = nn.ReLU(), kinds
        self.last = nn.Linear(64, 2)

    def forward(self, images):
        x = images - 0.5
        for kind in self.kinds:
            x = {
                "m": self.relu,
                "f": functional.relu,
                "i": lambda x: functional.relu(x.clone(), inplace=True),
                "t": lambda x: x.clamp(min=0),
                "6": functional.relu6,
                "*": lambda x: x * (x > 0),
                "w": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
                "-": lambda x: x.masked_fill(x < 0, 0),
            }[kind](x)
            x = x - 0.01
        return self.last(x.flatten(1))


def test_relus_are_found_by_what_they_do():
    found = rectifying_calls(Rectifiers("mfit6*w-"), IMAGES)
    assert len(found) == 8
    assert found[0] == "relu:1" or found[0] == "relu"


@pytest.mark.parametrize("kinds, missed", [("mmfit6", 0), ("m*", 1), ("mw-", 2)])
def test_relus_that_no_rule_reaches_are_named(kinds, missed):
    for rule in ("deconvnet", "guided"):
        found = follows_rule(Rectifiers(kinds), IMAGES, rule)
        assert len(found) == missed
        assert all(item.layer and "arithmetic" in item.promise for item in found)


def test_a_model_that_changes_itself_is_the_only_thing_said():
    class Drifting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, images):
            self.net[4].bias.data += 1
            return self.net(images)

    found = integrity(Drifting(), IMAGES, CLASSES, {})
    assert found.asked == ["the model"]
    assert len(keeps_itself(Drifting(), IMAGES)) == 2  # its parameter, its answer


def test_guided_must_differ_where_a_negative_gradient_met_an_active_relu():
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(64, 2, bias=False))
    nn.init.constant_(model[2].weight, 1.0)
    assert not meets_negative_gradient(model, IMAGES, CLASSES)
    model[2].weight.data[1, 5] = -1
    assert meets_negative_gradient(model, IMAGES, CLASSES)
    assert len(differs(IMAGES, IMAGES, blocked=True)) == 1
    assert differs(IMAGES, IMAGES, blocked=False) == differs(IMAGES, 2 * IMAGES, blocked=True) == []
