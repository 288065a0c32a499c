"""The smallest network that does what a model does: how it is chosen, its interval, and what is not asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnaudit.checks.dataset.minimum_model import figures
from cnnaudit.checks.dataset.minimum_model import minimum_model as check_minimum_model
from cnnaudit.checks.minimum_model._frontier import Tried, needed, simplest, small_networks
from cnnaudit.target import AuditTarget
from cnnaudit.training import Architecture


def tried(parameters, train, right):
    pool = {16: 28, 25: 14, 61: 7}[parameters]
    right = np.array(right, dtype=bool)
    return Tried(Architecture(pool=pool), np.array(train), right.mean(1), right)


def test_the_smallest_that_reaches_is_chosen_by_training_accuracy():
    model = np.ones(4)
    networks = [
        tried(16, [0.9, 0.8], [[1, 1, 0, 0], [1, 1, 1, 1]]),  # the better seed in training is the worse in validation
        tried(25, [0.7, 0.9], [[0, 0, 0, 0], [1, 1, 1, 1]]),
        tried(61, [0.9, 0.9], [[1, 1, 1, 1], [1, 1, 1, 1]]),
    ]
    found = needed(networks, model, 0.25, np.random.default_rng(0), 500, 0.95)
    assert found.parameters == 25
    assert found.smallest is networks[1]
    assert found.required == pytest.approx(0.25 + 0.95 * 0.75)
    # drawn seeds: 16 needs its second seed alone (1/4 of draws), 25 fails without its second seed (1/4 of draws)
    assert found.interval == (16, 61)


def test_the_interval_of_certain_networks_is_a_point():
    networks = [tried(16, [0.5] * 8, np.zeros((8, 200))), tried(25, [0.9] * 8, np.ones((8, 200)))]
    found = needed(networks, np.ones(200), 0.5, np.random.default_rng(0), 200, 0.95)
    assert (found.parameters, found.interval) == (25, (25, 25))


def test_where_no_network_reaches_the_largest_is_the_bound():
    networks = [tried(16, [0.5], np.zeros((1, 50))), tried(61, [0.6], np.zeros((1, 50)))]
    found = needed(networks, np.ones(50), 0.5, np.random.default_rng(0), 200, 0.95)
    assert (found.parameters, found.smallest) == (61, None)


def test_the_ratio_of_one_feature_is_at_most_one_and_of_more_above_the_tolerance():
    for classes, channels in ((2, 1), (3, 1), (10, 1), (10, 3)):
        unit = simplest(28, channels, classes).parameters
        for network in small_networks(28, channels, classes):
            if network.features == 1:
                assert network.parameters <= unit
            elif network.kernel == 3 and channels == 1:
                assert network.parameters / unit > check_minimum_model.tolerance


def test_a_model_at_chance_has_nothing_to_explain():
    target = figures(0, transformation="scaling", noise=20, inverted=True)
    silent = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 3))
    torch.nn.init.zeros_(silent[1].weight)
    splits = {name: target.sample(name) for name in ("train", "validation")}
    found = check_minimum_model(AuditTarget.from_arrays("silent", silent, splits, ("a", "b", "c")))
    assert found.verdict == "not_applicable"
    assert "nothing to reach" in found.summary
