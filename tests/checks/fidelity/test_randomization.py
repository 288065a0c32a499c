"""Random copies are random, live and of the same scale; what survives them is a share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity._budget import LEAST
from cnnaudit.checks.fidelity._random_networks import randomized, weighted_layers
from cnnaudit.checks.fidelity.deletion import deletion
from cnnaudit.checks.fidelity.randomization import Randomization, compare, map_entropy, randomization


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


def test_a_map_less_alike_than_another_images_survives_by_nothing():
    zero, one = np.zeros(8), np.ones(8)
    found = Randomization(zero - 0.4, one, zero + 0.4, zero, {}, np.zeros((2, 4)))
    assert found.kept() < -1
    assert found.survives() == 0
    assert Randomization(zero + 0.7, one, zero + 0.4, zero, {}, np.zeros((2, 4))).survives() == pytest.approx(0.5)


def test_the_share_that_survives_is_a_share(lenet, few_methods):
    found = randomization(replace(lenet, _cache={}))
    assert [finding.part for finding in found] == list(few_methods[:3])
    for finding in found:
        assert 0 <= finding.interval[0] <= finding.statistic <= finding.interval[1] <= 1
    rows = {row[0]: row for row in found[0].evidence[0]["rows"]}
    assert rows["Edge detector (baseline)"][2] == pytest.approx(1, abs=1e-6)


def test_numbers_depend_on_neither_order_nor_selection_and_nothing_is_left_behind(lenet, few_methods):
    before = [value.clone() for value in lenet.model.state_dict().values()]
    state = torch.get_rng_state()
    first = [check(replace(lenet, _cache={}), seed=4) for check in (randomization, deletion)]
    shared = replace(lenet, _cache={})
    second = [check(shared, seed=4) for check in (deletion, randomization)][::-1]
    for alone, together in zip(first, second):
        assert [replace(f, seconds=0) for f in alone] == [replace(f, seconds=0) for f in together]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, lenet.model.state_dict().values()))
    assert not any(parameter.grad is not None for parameter in lenet.model.parameters())


def test_a_model_without_weights_cannot_be_drawn_anew(small):
    class Bright(nn.Module):
        def forward(self, images):
            mean = images.mean((1, 2, 3))
            return torch.stack([mean, 1 - mean], 1)

    found = randomization(small(Bright()))
    assert found.verdict == "not_applicable" and "no weights" in found.summary


def test_methods_without_their_relu_are_refused_one_by_one(few_methods, small, classifier):
    model = classifier(nn.Conv2d(1, 4, 3), nn.SiLU())
    with torch.no_grad():
        model[0].weight.mul_(20)  # else it is nearly linear, with the same gradient for all images
    found = {finding.part: finding for finding in randomization(small(model))}
    assert found["gradient"].verdict != "not_applicable"
    assert found["deconvnet"].verdict == "not_applicable" and "silu" in found["deconvnet"].summary


def test_on_photographs_few_methods_are_asked_and_the_rest_is_named(small):
    model = nn.Sequential(nn.Conv2d(3, 4, 7, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    images = torch.rand(10, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    found = {f.part: f for f in randomization(small(model, images=images))}
    assert "--profile standard" in found["integrated_gradients"].summary
    assert found["gradient"].n == LEAST
