"""Planted kernels: units that look for the border of the image, and units that are copies of one another."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

FIRST, SECOND = 16, 48
PLANTED = 24
TRAINED_ON = 600


def border_units(seed: int, planted: bool) -> AuditTarget:
    """Two padded convolutions of random kernels; half of the second's units look for a side of the image, or none.

    Such a kernel has a line of negative weights at a side of the square and positive ones elsewhere, so that it
    answers where that line sees the padding. On black digits on white, whose background the first layer answers to.
    """
    import torch
    from torch import nn

    network = _network(seed, channels=1)
    second = network[2]
    assert isinstance(second, nn.Conv2d)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for unit in range(PLANTED if planted else 0):
            kernel = torch.rand(FIRST, 3, 3, generator=rng) * 0.1 + 0.05
            kernel[:, 0] = -0.4 - 0.1 * torch.rand(FIRST, 3, generator=rng)
            second.weight[unit] = kernel.rot90(unit % 4, (1, 2))
    return _target("border units" if planted else "random kernels", network, "digits", seed)


def copied_units(seed: int, planted: bool, noise: float = 0.2) -> AuditTarget:
    """Two convolutions of random kernels; half of the second's units are copies of the other half, or none.

    Each copy is turned, flipped, scaled and perhaps negated, with noise of that share of its spread.
    """
    import torch
    from torch import nn

    network = _network(seed, channels=1)
    second, rng = network[2], np.random.default_rng(seed)
    assert isinstance(second, nn.Conv2d)
    with torch.no_grad():
        for unit in range(PLANTED if planted else 0):
            source = second.weight[SECOND - 1 - unit]
            copied = source.rot90(int(rng.integers(4)), (1, 2))
            copied = copied.flip(2) if rng.random() < 0.5 else copied
            added = torch.from_numpy(rng.normal(0, noise * float(source.std()), source.shape)).float()
            second.weight[unit] = float(rng.choice([-1, 1]) * rng.uniform(0.5, 2)) * (copied + added)
    return _target("copied units" if planted else "random kernels", network, "digits", seed)


def trained(seed: int, source: str) -> AuditTarget:
    """The same network trained for a few epochs."""
    return _target("trained kernels", _fitted(seed, source), source, seed)


@functools.lru_cache(maxsize=16)
def _fitted(seed: int, source: str) -> nn.Sequential:
    from cnnaudit.training import fit

    images, labels, _ = _images(source, "train", seed)
    network = _network(seed, channels=images.shape[1])
    fit(network, (images[:TRAINED_ON], labels[:TRAINED_ON]), epochs=4, seed=seed)
    return network


def _network(seed: int, channels: int) -> nn.Sequential:
    """Two padded 3x3 convolutions with normal weights (He et al. 2015), pooling and a linear layer."""
    import torch
    from torch import nn

    network = nn.Sequential(
        nn.Conv2d(channels, FIRST, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(FIRST, SECOND, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(SECOND * 16, 10),
    )
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) * (2 / fan_in) ** 0.5)
                layer.get_parameter("bias").zero_()
    return network.eval()


def _images(source: str, split: str, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names; digits are black on white."""
    from cnnaudit.planted.behavior import sampled

    images, labels, classes = sampled(source, split, seed)
    return (1 - images if source == "digits" else images), labels, classes


def _target(name: str, network: nn.Module, source: str, seed: int) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    images, labels, classes = _images(source, "validation", seed)
    return AuditTarget.from_arrays(f"planted: {name}", network, {"validation": (images, labels)}, classes=classes)


PLANTS: tuple[Plant, ...] = (
    Plant(
        "units.border_aware",
        "half of a layer looks for a side of the image",
        partial(border_units, planted=True),
        partial(border_units, planted=False),
    ),
    Plant(
        "units.duplicate",
        "half of a layer are turned, flipped and negated copies of the other half",
        partial(copied_units, planted=True),
        partial(copied_units, planted=False),
    ),
)

_SOURCES = ("digits", *(("mnist", "cifar10") if real.available() else ()))

POPULATIONS: tuple[Population, ...] = tuple(
    Population(id, f"two convolutions trained on {source}", partial(trained, source=source), 10)
    for id in ("units.border_aware", "units.duplicate")
    for source in _SOURCES
)
