"""Units that never fire, or never stop: planted ones, and the exact bound."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

from cnnaudit.models import lenet
from cnnaudit.models.untrained import untrained_twin
from cnnaudit.units import dead
from cnnaudit.units._dead import firing, firing_bound


def planted():
    """Four units: alive, silenced, always on, and one that answers to a white image alone."""
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Flatten())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, 1.0, 1.0, 1.0]).view(4, 1, 1, 1))
        net[0].bias.copy_(torch.tensor([-0.5, -100.0, 100.0, -0.99]))
        net[2].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]).view(2, 4, 1, 1))
    return net


def images(n=20):
    shown = torch.rand(n, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.9
    shown[7] = 1
    return shown


def test_planted_units_are_found_and_no_others():
    never, always = (dead(planted(), images(), kind=kind) for kind in ("never", "always"))
    assert [row.found for row in never] == [(1,), (1,)]  # the second layer has no ReLU: its unit 1 answers its bias
    assert [row.found for row in always] == [(2,), ()]
    assert [row.layer for row in never] == ["0", "2"] and never[0].null is None


def test_a_unit_that_fires_in_one_image_is_not_dead_and_is_without_that_image():
    assert 3 in dead(planted(), images()[:7])[0].found and 3 not in dead(planted(), images())[0].found


def test_lowest_and_highest_are_those_of_the_maps():
    net, shown = planted(), images()
    row = firing(net, shown, batch_size=3)[0]
    with torch.no_grad():
        maps = net[:2](shown).flatten(2)
    np.testing.assert_allclose(row.lowest, maps.amin(2).numpy())
    np.testing.assert_allclose(row.highest, maps.amax(2).numpy())


def test_leaky_units_are_dead_when_never_above_zero():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.LeakyReLU())
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.fill_(-2)
    assert dead(net, images())[0].found == (0,)


def test_the_untrained_twin_stands_beside():
    net, shown = lenet((8,), hidden=16), torch.rand(12, 1, 28, 28)
    twin = untrained_twin(net, shown, seed=1)
    row, null = dead(net, shown, twin=twin)[1], dead(twin, shown)[1]
    assert row.null == null.share and row.null_name == "untrained twin"


@pytest.mark.parametrize(("n", "confidence"), [(1, 0.95), (59, 0.95), (500, 0.99)])
def test_the_bound_is_the_rate_at_which_silence_becomes_improbable(n, confidence):
    assert binom.pmf(0, n, firing_bound(n, confidence)) == pytest.approx(1 - confidence)
