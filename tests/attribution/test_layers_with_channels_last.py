"""A unit of a layer that holds its maps as (N, H, W, C) is the unit of the same layer as (N, C, H, W)."""

import pytest
import torch
from torch import nn

from cnnaudit.attribution import deconvnet, deeplift, gradient, guided_backpropagation, occlusion
from cnnaudit.attribution.scores import scores
from cnnaudit.core.errors import UnsupportedError


class Network(nn.Module):
    """Six maps of 5 x 6 behind a ReLU, in either order of axes."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.conv, self.act, self.last = nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Linear(6, 3)
        self.channels_last = channels_last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.channels_last:
            return self.last(self.act(x.permute(0, 2, 3, 1)).mean((1, 2)))
        return self.last(self.act(x).mean((2, 3)))


def twins() -> tuple[Network, Network]:
    plain, last = Network(False).eval(), Network(True).eval()
    last.load_state_dict(plain.state_dict())
    return plain, last


METHODS = [gradient, deconvnet, guided_backpropagation, deeplift, occlusion]


@pytest.mark.parametrize("unit", [4, (4, 1, 5)])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@pytest.mark.filterwarnings("ignore:.*zero everywhere")
def test_a_unit_is_explained_alike_in_both_orders_of_axes(method, unit):
    plain, last = twins()
    images = torch.rand(2, 1, 7, 8)
    expected = method(plain, images, layer="act", unit=unit)
    assert torch.allclose(method(last, images, layer="act", unit=unit), expected, atol=1e-6)


def test_a_layer_whose_axes_are_not_established_is_refused():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(torch.fft.fft2(x).real).mean((2, 3))

    with pytest.raises(UnsupportedError, match=r"layer 'act' answers \(1, 1, 7, 8\), expected feature maps"):
        scores(Mixed().eval(), torch.rand(2, 1, 7, 8), layer="act", unit=0)
