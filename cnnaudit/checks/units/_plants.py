"""Targets that the plants of several checks of `units` share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget


FIRST, SECOND = 16, 48


PLANTED = 24


TRAINED_ON = 600


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
    from cnnaudit.checks.small_targets import sampled

    images, labels, classes = sampled(source, split, seed)
    return (1 - images if source == "digits" else images), labels, classes


def _target(name: str, network: nn.Module, source: str, seed: int) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    images, labels, classes = _images(source, "validation", seed)
    return AuditTarget.from_arrays(f"planted: {name}", network, {"validation": (images, labels)}, classes=classes)
