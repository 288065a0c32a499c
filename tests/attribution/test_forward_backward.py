"""Forward-backward interaction against explicit products layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from cam_networks import pixels, shortcut
from torch import nn

from cnnaudit.attribution import forward_backward
from cnnaudit.core.errors import UnsupportedError


def test_a_chain_of_layers_by_explicit_transposed_convolutions_and_unpooling() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second, head = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 3, padding=1), nn.Linear(2 * 9, 4)
    network = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(inplace=True), nn.Flatten(), head).eval()
    images = pixels(3)
    found = forward_backward(network, images, 2)
    for image, map_ in zip(images, found):
        one = first(image[None]).relu()
        pooled, switches = F.max_pool2d(one, 2, return_indices=True)
        two = second(pooled).relu()
        signal = head.weight[2].view(1, 2, 3, 3) * two / two.max()
        signal = F.conv_transpose2d(signal, second.weight, padding=1)
        signal = F.max_unpool2d(signal, switches, 2, output_size=one.shape) * one / one.max()
        signal = F.conv_transpose2d(signal, first.weight)
        assert torch.allclose(map_[None], signal.detach(), atol=1e-7)


@pytest.mark.parametrize("functional", [False, True])
def test_in_place_calls_change_nothing(functional: bool) -> None:
    images = pixels()
    plain, in_place = (forward_backward(shortcut(kind, functional), images, 1) for kind in (False, True))
    assert plain.any() and plain.equal(in_place)


def test_each_image_has_its_own_largest_activation() -> None:
    network, images = shortcut(True), pixels(3)
    together = forward_backward(network, images, 1)
    alone = torch.cat([forward_backward(network, image[None], 1) for image in images])
    assert torch.allclose(together, alone, atol=1e-7)


def test_a_dead_layer_is_said_and_not_divided_by() -> None:
    network = shortcut(False)
    nn.init.constant_(network.a.bias, -100.0)
    nn.init.constant_(network.b.bias, -100.0)
    with pytest.warns(RuntimeWarning, match="forward_backward: the attribution is zero everywhere for 2 of 2"):
        assert not forward_backward(network, pixels(), 1).any()


def test_networks_without_relu_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="ReLU"):
        forward_backward(nn.Sequential(nn.Flatten(), nn.SiLU(), nn.Linear(64, 2)), pixels(), 0)
