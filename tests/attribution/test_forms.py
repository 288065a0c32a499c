"""The same answers whatever form a model comes in: eager, `torch.fx`, `torch.export`, bound to one batch size."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from cam_networks import pixels, shortcut
from torch import nn

from cnnaudit.attribution.methods import METHODS

NAMES = ["cam", "grad_cam", "guided_grad_cam", "forward_backward", "occlusion", "lime"]


class Bound(nn.Module):
    """Takes three images at a time and nothing else, as exported models may."""

    batch = 3

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) != self.batch:
            raise ValueError(f"{len(images)} images")
        return self.network(images)


def exported(network: nn.Module) -> nn.Module:
    return torch.export.export(network, (pixels(4, 3, 24),), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()


@pytest.mark.filterwarnings("ignore:.*(grad_cam|bound to one batch size)")
@pytest.mark.parametrize("form", [torch.fx.symbolic_trace, exported, Bound])
@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_a_model_gets_the_same_answer(name: str, form: Callable[[nn.Module], nn.Module]) -> None:
    if name == "lime":
        pytest.importorskip("lime")
    network, images, classes = shortcut(True, channels=3), pixels(4, 3, 24), torch.tensor([0, 1, 2, 0])
    model = form(network)
    with warnings.catch_warnings():
        if form is not Bound:
            warnings.filterwarnings("error", "occlusion")  # what the window touches is followed in these forms too
        found = METHODS[name].compute(model, images, classes, torch.Generator().manual_seed(0))
    expected = METHODS[name].compute(network, images, classes, torch.Generator().manual_seed(0))
    assert expected.any()
    assert torch.allclose(found, expected, atol=1e-7 + 1e-4 * float(expected.abs().max()))
