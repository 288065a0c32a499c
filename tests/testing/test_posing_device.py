"""The device that no machine has behaves as a card where it matters."""

import numpy as np
import pytest
import torch

from cnnaudit.testing.posing_device import DEVICE, MixedDevicesError, carried, pose, posed, posing
from cnnaudit.testing.subjects import Network, images, made


def test_mixing_is_refused_as_on_a_card():
    here = torch.ones(3)
    with posing():
        there = pose(here)
        for mix in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: there.add_(here),
            lambda: torch.where(there > 0, there, here),
            lambda: here.gather(0, pose(torch.tensor([0]))),
            lambda: here[pose(torch.tensor([0]))],
            lambda: torch.nn.functional.linear(there[None], here[None]),
        ):
            with pytest.raises(MixedDevicesError, match="expected all tensors on one device"):
                mix()


def test_what_a_card_allows_is_allowed():
    here = torch.arange(3.0)
    with posing():
        there = pose(here)
        assert carried(there * torch.tensor(2.0)).equal(here * 2)  # a single number
        assert carried(there[torch.tensor([2, 0])]).equal(here[[2, 0]])  # indices of the CPU
        assert carried(there[[2, 0]]).equal(here[[2, 0]])
        assert there.cpu().equal(here) and there.cpu().device.type == "cpu"
        assert here.to(there.device).device == DEVICE and carried(here.to(there.device)).equal(here)
        there[1:] = 5
        assert there.tolist() == [0, 5, 5] and there.sum().item() == 10 and int(there[1]) == 5


def test_factories_make_numbers_there():
    with posing():
        for made_there, expected in (
            (torch.zeros(2, device=DEVICE), torch.zeros(2)),
            (torch.arange(3, device=DEVICE), torch.arange(3)),
            (torch.tensor([1.0, 2.0], device=DEVICE), torch.tensor([1.0, 2.0])),
            (torch.as_tensor(np.ones(2), device=DEVICE), torch.ones(2, dtype=torch.float64)),
            (torch.full_like(pose(torch.ones(2)), 3), torch.full((2,), 3.0)),
            (pose(torch.ones(2)).new_tensor([1, 2]), torch.tensor([1.0, 2.0])),
        ):
            assert made_there.device == DEVICE and carried(made_there).equal(expected)


def test_numpy_refuses_what_is_there():
    with posing(), pytest.raises((TypeError, RuntimeError)):
        pose(torch.ones(2)).numpy()


def test_gradients_and_networks_are_those_of_the_cpu():
    network, shown = made(Network()), images()
    leaf = shown.clone().requires_grad_()
    network(leaf)[:, 1].sum().backward()
    with posing():
        copied, given = posed(network), pose(shown).requires_grad_()
        logits = copied(given)
        (found,) = torch.autograd.grad(logits[:, 1].sum(), given)
        assert logits.device == DEVICE and carried(logits).equal(network(shown).detach())
        assert torch.allclose(carried(found), leaf.grad, atol=1e-7)
        with pytest.raises(MixedDevicesError):
            copied(shown)
