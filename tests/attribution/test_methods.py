"""The registry of methods: one signature, deterministic, refused where not defined; the two baselines."""

from __future__ import annotations

import warnings

import pytest
import torch
from small import pixels, small
from torch import nn

from cnnaudit.attribution import METHODS, saliency
from cnnaudit.attribution.methods import blank, edges
from cnnaudit.core.errors import UnsupportedError

OURS = ("gradient", "gradient_times_input", "smooth_grad", "deconvnet", "guided_backpropagation", "deeplift")


@pytest.mark.parametrize("name", [*OURS, "integrated_gradients", "blank", "edges"])
def test_every_method_has_one_signature(name: str) -> None:
    method, net, x = METHODS[name], small(), pixels(2)
    assert method.name == name and method.title and method.reference
    found = method.compute(net, x, torch.tensor([0, 2]), torch.Generator().manual_seed(3))
    assert found.shape == (x.shape if method.per_channel else (2, 17, 17))
    assert found.equal(method.compute(net, x, torch.tensor([0, 2]), torch.Generator().manual_seed(3)))
    assert saliency(found).shape == (2, 17, 17)
    assert method.compute(net, x).shape == found.shape  # the predicted class, without a generator
    assert method.baseline == (name in ("blank", "edges"))


def test_methods_of_relus_are_marked() -> None:
    smooth = nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten(), nn.Linear(450, 3)).double()
    for name in OURS:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if METHODS[name].needs_relu:
                with pytest.raises(UnsupportedError):
                    METHODS[name].compute(smooth, pixels(1), 1)
            else:
                assert METHODS[name].compute(smooth, pixels(1), 1).any()


def test_saliency_adds_the_sizes_of_the_channels() -> None:
    attribution = torch.tensor([[[[1.0, -2.0]], [[-3.0, 0.5]]]])
    assert saliency(attribution).tolist() == [[[4, 2.5]]]
    assert saliency(attribution[:, 0]).equal(attribution[:, 0])


def test_edges_are_the_length_of_the_sobel_gradient() -> None:
    x = pixels(1, 2, 6)
    wide = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    for channel, row, column in ((0, 0, 0), (1, 3, 2), (0, 5, 5)):
        around = wide[0, channel, row : row + 3, column : column + 3]
        weights = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype)
        across = float(weights @ (around[:, 2] - around[:, 0]))
        down = float((around[2] - around[0]) @ weights)
        assert float(edges(x)[0, channel, row, column]) == pytest.approx((across**2 + down**2) ** 0.5)
    assert not edges(torch.full((1, 1, 4, 4), 0.7)).any()  # the border of the image is no edge
    assert blank(x).equal(torch.zeros_like(x))
