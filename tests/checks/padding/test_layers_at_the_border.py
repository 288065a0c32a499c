"""Responses at the border, against closed forms and a slow walk over maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.checks.padding._border_maxima import border_maxima
from cnnaudit.checks.padding._border_response import border_response
from cnnaudit.checks.padding._layer_calls import padded_layers
from cnnaudit.checks.padding._small_networks import edge_network, resnet_geometry
from cnnaudit.checks.padding.border_maximum import border_maximum as check_maximum
from cnnaudit.checks.padding.border_response import border_response as check_response
from cnnaudit.core.errors import ModelError
from cnnaudit.data.background import backgrounds
from cnnaudit.interventions import calls
from cnnaudit.target import AuditTarget


def darkness(offset: float = 1.5) -> nn.Sequential:
    """Offset less the mean of 3 x 3 pixels: on white offset - 1 in the middle, - 6/9 at an edge, - 4/9 in a corner."""
    layer = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.constant_(layer.weight, -1 / 9)
    nn.init.constant_(layer.bias, offset)
    return nn.Sequential(layer, nn.ReLU())


def layers_of(model, images):
    return padded_layers(calls(model, images[:1]))


def random_network(seed: int, padding_mode: str = "zeros") -> nn.Sequential:
    torch.manual_seed(seed)
    first = nn.Conv2d(1, 3, 3, padding=1, padding_mode=padding_mode)
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(3, 4, 5, 2, 2, padding_mode=padding_mode), nn.ReLU()).eval()


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(0)
    return torch.rand(7, 1, 20, 22, generator=rng)


class Block(nn.Module):
    """Convolutions by function: padded with ReLU, padded without, unpadded, padded on a small map."""

    def forward(self, x):
        weight = torch.ones(1, 1, 3, 3)
        x = functional.relu(functional.conv2d(x, weight, padding=1))
        x = functional.conv2d(x, weight, padding=1)
        x = functional.relu(functional.conv2d(x, weight))
        return functional.relu(functional.conv2d(functional.max_pool2d(x, 3), weight, padding=1))


def test_the_response_of_a_convolution_is_its_activation_if_it_has_one():
    assert padded_layers(calls(Block(), torch.zeros(1, 1, 20, 20))) == {
        "/conv2d:1": "/relu:1",
        "/conv2d:2": "/conv2d:2",
    }


def test_excess_of_a_known_filter():
    images = torch.ones(3, 1, 10, 10)
    images[2] = 0
    model = darkness()
    found = border_response(model, images, layers_of(model, images))
    corner, middle = -4 / 9 + 1.5, -9 / 9 + 1.5
    assert found.excess[:, 0] == pytest.approx([corner - middle, corner - middle, 0], abs=1e-6)
    assert found.peak[:, 0] == pytest.approx([corner, corner, 1.5], abs=1e-6)
    assert found.shares()[0] == pytest.approx(2 * (corner - middle) / (2 * corner + 1.5), abs=1e-6)
    assert found.shares(np.array([0]))[0] == pytest.approx((corner - middle) / corner, abs=1e-6)
    assert found.maps["0"][0, 0] == pytest.approx(2 / 3 * (corner - middle), abs=1e-6)
    assert found.maps["0"][1:-1, 1:-1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
def test_a_constant_image_stays_constant_without_zeros(images, mode):
    model = random_network(1, mode)
    found = border_response(model, images, layers_of(model, images))
    assert np.abs(found.excess).max() < 1e-6


def test_replicate_padding_shows_what_the_middle_shows(images):
    """The middle of a map that padding does not reach is the reference, so both give the same excess."""
    model = random_network(2)
    found = border_response(model, images, layers_of(model, images))
    flat = backgrounds(images)[:, :, None, None].expand_as(images)
    with torch.no_grad():
        for column, end in enumerate((2, 4)):
            activations = model[:end](flat)
            middle = activations[..., activations.shape[-2] // 2, activations.shape[-1] // 2]
            excess = (activations - middle[..., None, None]).clamp(min=0).amax((-2, -1)).mean(1)
            assert found.excess[:, column] == pytest.approx(excess.numpy(), abs=2e-3)  # colors are bytes


def slow_maxima(activations: torch.Tensor, image: torch.Tensor, color: float) -> tuple[int, int]:
    """Live quadrants and those whose single strongest pixel lies in the ring over background, one by one."""
    channels, height, width = activations.shape
    live = won = 0
    for unit in range(channels):
        for rows in (range(height // 2), range(height // 2, height)):
            for columns in (range(width // 2), range(width // 2, width)):
                ring, rest = [-1.0], [-1.0]
                for row in rows:
                    for column in columns:
                        outer = row in (0, height - 1) or column in (0, width - 1)
                        background = abs(float(image[row, column]) - color) < 0.25
                        (ring if outer and background else rest).append(float(activations[unit, row, column]))
                live += max(ring + rest) > 0
                won += max(ring) > max(0.0, *rest)
    return live, won


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_maxima_as_counted_one_by_one(images, mode):
    model = random_network(3, mode)[:2]
    found = border_maxima(model, images, layers_of(model, images), batch_size=3)
    with torch.no_grad():
        activations = model(images)
    colors = backgrounds(images)
    for number, image in enumerate(images):
        _, won = slow_maxima(activations[number], image[0], float(colors[number, 0]))
        assert found.won[number, 0] == won
    assert found.ring_share[0] == pytest.approx((2 * 20 + 2 * 22 - 4) / (20 * 22))
    if mode == "replicate":
        assert (found.won == found.won_replicate).all()
        assert found.excess()[0] == 0


def test_the_strongest_pixel_is_named():
    images = torch.ones(2, 1, 12, 12)
    images[:, :, 5:7, 5:7] = 0
    model = darkness(0.6)  # only corners respond
    found = border_maxima(model, images, layers_of(model, images))
    assert found.live[:, 0].tolist() == found.won[:, 0].tolist() == [4, 4]
    assert found.won_replicate[:, 0].tolist() == [0, 0]
    assert sorted(zip(*np.nonzero(found.maps["0"]))) == [(0, 0), (0, 11), (11, 0), (11, 11)]
    assert tuple(found.pixels[0, 0]) in {(0, 0), (0, 11), (11, 0), (11, 11)}


def test_a_tie_is_not_won_by_the_border():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    nn.init.zeros_(model[0].weight)
    nn.init.ones_(model[0].bias)
    images = torch.rand(2, 1, 12, 12)
    found = border_maxima(model, images, layers_of(model, images))
    assert found.live.tolist() == [[4], [4]]
    assert not found.won.any()
    assert (found.pixels == -1).all()


def test_dead_units_have_no_maximum_and_no_share():
    model = darkness(-0.5)
    images = torch.rand(2, 1, 12, 12)
    assert not border_maxima(model, images, layers_of(model, images)).live.any()
    assert border_response(model, images, layers_of(model, images)).shares().tolist() == [0.0]


def test_a_network_bound_to_its_batch_size(images):
    class Bound(nn.Module):
        batch = 4

        def __init__(self):
            super().__init__()
            self.layers = random_network(4)

        def forward(self, x):
            assert len(x) == 4
            return self.layers(x)

    bound, free = Bound(), random_network(4)
    names = {f"layers.{key}": f"layers.{value}" for key, value in layers_of(free, images).items()}
    for method in (border_maxima, border_response):
        a, b = method(bound, images, names), method(free, images, layers_of(free, images))
        first = "won" if method is border_maxima else "excess"
        assert np.allclose(getattr(a, first), getattr(b, first), atol=1e-6)


def test_nothing_is_left_behind(images):
    model = random_network(5).train()
    before = [p.clone() for p in model.parameters()], torch.get_rng_state(), images.clone()
    layers = layers_of(model, images)
    border_maxima(model, images, layers)
    border_response(model, images, layers)
    assert all(torch.equal(a, b) for a, b in zip(before[0], model.parameters()))
    assert torch.equal(before[1], torch.get_rng_state()) and torch.equal(before[2], images)
    assert model.training and not any(module._forward_hooks for module in model.modules())


def target(*layers: nn.Module) -> AuditTarget:
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))
    images = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    model(images)
    return AuditTarget.from_arrays("small", model, {"validation": (images.numpy(), np.arange(20) % 2)}, ("a", "b"))


@pytest.mark.parametrize(
    "check, layers, reason",
    [
        (check_response, [nn.Conv2d(1, 2, 3)], "pads its input"),
        (check_maximum, [nn.Conv2d(1, 2, 3)], "pads its input"),
        (check_maximum, [nn.MaxPool2d(3), nn.Conv2d(1, 2, 3, padding=1)], "8 x 8"),
    ],
)
def test_networks_without_a_border_are_not_asked(check, layers, reason):
    found = check(target(*layers))
    assert found.verdict == "not_applicable" and reason in found.summary


@pytest.mark.parametrize("check", [check_response, check_maximum])
def test_dead_units_have_no_border(check):
    asked = target(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(asked.model[0].bias, -50)
    assert "dead" in check(asked).summary


@pytest.mark.parametrize("check", [check_response, check_maximum])
def test_a_model_that_answers_nan_is_an_error(check):
    asked = target(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(asked.model[0].weight, float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        check(asked)


def test_the_worst_layer_is_named_first_with_its_pixel():
    found = check_maximum(edge_network(1, "zeros"))
    assert found.locations[0].layer == "conv"
    row, column = found.locations[0].pixel
    assert row in (0, 27) or column in (0, 27)
    assert [item["kind"] for item in found.evidence] == ["heat_map", "images"]
    several = check_maximum(resnet_geometry(0, 65))
    assert [item["kind"] for item in several.evidence] == ["heat_map", "bars", "images"]
