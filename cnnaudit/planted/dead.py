"""Planted units that never fire, or never stop: biases pushed far down, or far up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.checks.readout import readout
from cnnaudit.planted.behavior import plain

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_CHECK = "units.dead"


def pushed(seed: int, bias: float = 0.0, share: float = 0.95) -> AuditTarget:
    """A small network on digits whose first layer has a bias of that much, but for one unit in twenty.

    Biases of -100 silence a unit on pixels in [0, 1], biases of 100 keep it above 0.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation", seed)
    network = readout(data.images, data.labels, 10)
    first = network[0]
    assert isinstance(first, nn.Conv2d)
    chosen = np.random.default_rng(seed).permutation(len(first.weight))[: int(share * len(first.weight))]
    first.bias = nn.Parameter(torch.zeros(len(first.weight)))
    with torch.no_grad():
        first.bias[chosen.tolist()] = bias
    images = {"validation": (data.images, data.labels)}
    return AuditTarget.from_arrays(f"planted: biases of {bias:g}", network, images, classes=data.classes)


PLANTS: tuple[Plant, ...] = (
    Plant(_CHECK, "biases pushed far down", partial(pushed, bias=-100.0), pushed, part="never"),
    Plant(_CHECK, "biases pushed far up", partial(pushed, bias=100.0), pushed, part="always"),
)

_SOURCES = ("digits", "dataset 3.0", *(("mnist", "cifar10") if real.available() else ()))

POPULATIONS: tuple[Population, ...] = tuple(
    Population(_CHECK, f"LeNets on {source}", partial(plain, source=source, trained=True), 6) for source in _SOURCES
)
