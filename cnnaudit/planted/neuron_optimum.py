"""Planted defects of optimized images: networks whose gradient does not lead where their answers rise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.planted.behavior import plain

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

Entrance = Literal["open", "reversed", "half", "rounded"]

_CHECK = "fidelity.neuron_optimum"


def entrance(seed: int, kind: Entrance = "open") -> AuditTarget:
    """A network of random weights that answers to digits, with something between the pixels and its first layer.

    `open`: nothing. `reversed`: a gradient reversal layer, as domain adaptation trains with, left in. `half`: every
    second pixel detached. `rounded`: pixels rounded to 16 levels, whose gradient is 0. The answers of the first three
    are the same bit by bit.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    class Entrance(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if kind == "reversed":
                return _reversed(images)
            if kind == "half":
                rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
                return torch.where((rows[:, None] + columns) % 2 == 0, images, images.detach())
            return (images * 15).round() / 15 if kind == "rounded" else images

    layers = nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2)
    network = nn.Sequential(Entrance(), *layers, nn.Flatten(), nn.Linear(200, 4))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                spread = (2 / layer.weight[0].numel()) ** 0.5
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=rng))
                layer.bias.zero_()  # type: ignore[union-attr]
    data = digits("validation")
    split = {"validation": (data.images[:200], data.labels[:200] % 4)}
    return AuditTarget.from_arrays(f"planted: entrance {kind}", network, split, classes=tuple("0123"))


def _reversed(images: torch.Tensor) -> torch.Tensor:
    """The images, with the sign of their gradient reversed."""
    copy = images.detach()
    return 2 * copy - images


PLANTS: tuple[Plant, ...] = (
    Plant(
        _CHECK, "a gradient reversal layer left in", partial(entrance, kind="reversed"), entrance, part="first_layer"
    ),
    Plant(_CHECK, "pixels are rounded to 16 levels", partial(entrance, kind="rounded"), entrance, part="deeper"),
)

_SOURCES = ("digits", "dataset 3.0", *(("mnist", "cifar10") if real.available() else ()))

POPULATIONS: tuple[Population, ...] = tuple(
    Population(_CHECK, f"LeNets on {source}", partial(plain, source=source, trained=True), 5) for source in _SOURCES
)
