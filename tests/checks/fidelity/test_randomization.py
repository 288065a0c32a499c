"""Random copies are random, live and of the same scale; what survives them is a share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity._randomization import compare, map_entropy, randomized, weighted_layers


def network() -> nn.Sequential:
    torch.manual_seed(3)
    layers = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)
    return nn.Sequential(*layers).eval()


IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_layers_stand_in_the_order_of_the_model():
    assert weighted_layers(network()) == ["0", "1", "4"]


def test_matrices_are_drawn_anew_with_their_size_and_vectors_permuted():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = randomized(model, IMAGES, torch.Generator().manual_seed(0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name in ("0.weight", "4.weight"):
        old, new = before[name], twin.state_dict()[name]
        assert not torch.equal(old, new)
        assert new.square().mean().sqrt() == pytest.approx(float(old.square().mean().sqrt()), rel=0.2)
        assert abs(np.corrcoef(old.flatten(), new.flatten())[0, 1]) < 0.3
    for name in ("0.bias", "4.bias"):
        assert sorted(before[name].tolist()) == sorted(twin.state_dict()[name].tolist())
    assert not twin.training and not twin[1].training


def test_batch_statistics_are_those_of_the_images():
    twin = randomized(network(), IMAGES, torch.Generator().manual_seed(0))
    seen = twin[0](IMAGES)
    assert torch.allclose(twin[1].running_mean, seen.mean((0, 2, 3)), atol=1e-5)


def test_only_the_named_layers_change():
    model = network()
    twin = randomized(model, IMAGES, torch.Generator().manual_seed(0), ["4"])
    assert torch.equal(model[0].weight, twin[0].weight)
    assert not torch.equal(model[4].weight, twin[4].weight)


def test_a_random_network_is_alive():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    nn.init.constant_(model[0].bias, -0.5)  # most draws never fire
    for seed in range(10):
        twin = randomized(model.eval(), IMAGES, torch.Generator().manual_seed(seed))
        assert twin(IMAGES).std(0).max() > 0


def test_the_same_seed_draws_the_same_network_and_leaves_the_global_state():
    state = torch.get_rng_state()
    first, second = (randomized(network(), IMAGES, torch.Generator().manual_seed(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))
    torch.manual_seed(3)
    network()
    assert state.shape == torch.get_rng_state().shape


def test_what_survives_is_one_for_a_map_of_the_image_and_about_zero_for_an_unrelated_one():
    rng = np.random.default_rng(0)
    own = rng.random((10, 100))
    same = compare(own, own, own, {0.5: own[:4]})
    assert same.kept() == 1.0 and same.stages == {0.5: 1.0}
    other = compare(own, own, rng.random((10, 100)), {})
    assert abs(other.kept()) < 0.15 and other.judgeable
    noise = compare(own, rng.random((10, 100)), rng.random((10, 100)), {})
    assert not noise.judgeable


def test_what_is_common_to_all_images_does_not_count():
    rng = np.random.default_rng(0)
    common = 3 * rng.random(100)
    own, random = (common + rng.random((10, 100)) for _ in range(2))
    found = compare(own, own, random, {})
    assert found.random.mean() > 0.7 and abs(found.kept()) < 0.15


def test_entropy_of_a_point_and_of_an_even_map():
    maps = np.stack([np.eye(8)[0], np.full(8, 0.3)])
    assert map_entropy(maps) == pytest.approx([0, np.log(8)])
