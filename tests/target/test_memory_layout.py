"""The faster memory layout is chosen where the network bears it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cnnaudit.interventions.memory_format import choose_layout
from cnnaudit.target import InputSpec
from cnnaudit.target.pixels import PixelModel


class Views(nn.Module):
    """A network that reads its map with `view`, which a channels-last map of more than one pixel does not allow."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3, stride=16), nn.Linear(64, 2)

    def forward(self, x):
        return self.linear(self.conv(x).view(len(x), -1))


def flattens():
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=16), nn.Flatten(), nn.Linear(64, 2))


@pytest.mark.parametrize(
    ("network", "size", "layout"),
    [
        (flattens, 64, torch.channels_last),
        (flattens, 63, torch.contiguous_format),
        (Views, 64, torch.contiguous_format),
    ],
)
def test_the_faster_layout_is_chosen_where_the_network_bears_it(network, size, layout):
    pixels = torch.rand(2, 3, size, size)
    model = PixelModel(network().eval(), InputSpec(channels=3, size=(size, size)))
    before = model(pixels)
    assert choose_layout(model, pixels) == layout
    torch.testing.assert_close(model(pixels), before)
    torch.testing.assert_close(copy.deepcopy(model)(pixels), before)
    assert model.get_parameter(next(iter(model.state_dict()))).is_contiguous(memory_format=layout)
