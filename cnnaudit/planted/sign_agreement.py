"""Planted kernels that say nothing of their units: the same function, with weights that cancel in the average."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.planted.units import _images

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_CHECK = "units.sign_agreement"
UNITS, SIDE = 48, 5


def edge_units(seed: int, source: str = "digits", shuffled: bool = False) -> AuditTarget:
    """A network whose second layer looks for edges and bars of all directions, and an untrained answer behind it.

    Its first layer hands on the brightness x twice, and once 1 - x. The second layer has the kernels (k, k, 0) for
    these three, so that its average is 2/3 k; or, `shuffled`, (s, k, s - k) with s a shuffle of k, whose average is 2/3
    s. Both respond 2 <k, x> plus a constant: <s, x> + <k, x> + <s - k, 1 - x>, with sums of k and s of 0.
    """
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    rng = np.random.default_rng(seed)
    images, labels, names = _images(source, rng)
    images, labels = images[:400], labels[:400]
    k = np.stack([_grating(rng) for _ in range(UNITS)])
    s = rng.permuted(k.reshape(UNITS, -1), axis=1).reshape(k.shape)
    parts = (s, k, s - k) if shuffled else (k, k, np.zeros_like(k))
    channels = images.shape[1]
    first, second = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, UNITS, SIDE)
    last = nn.Linear(UNITS * 16, len(names))
    with torch.no_grad():
        first.weight.copy_(torch.tensor([1.0, 1.0, -1.0]).view(3, 1, 1, 1) / channels)
        first.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))  # type: ignore[union-attr]
        second.weight.copy_(torch.from_numpy(np.stack(parts, axis=1)))
        second.bias.zero_()  # type: ignore[union-attr]
        last.weight.copy_(torch.from_numpy(rng.standard_normal(last.weight.shape)) / 20)
        last.bias.zero_()
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(), last).eval()
    name = "kernels that cancel" if shuffled else "edges"
    return AuditTarget.from_arrays(
        f"planted: {name}, {source}", network, {"validation": (images, labels)}, classes=names
    )


def _grating(rng: np.random.Generator) -> np.ndarray:
    """An edge or a bar of random direction and place, of mean 0."""
    angle, phase = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    across = columns * np.cos(angle) + rows * np.sin(angle)
    drawn = np.sin(across * rng.uniform(0.6, 1.4) + phase)
    return np.asarray(drawn - drawn.mean())


PLANTS: tuple[Plant, ...] = tuple(
    Plant(
        _CHECK,
        "the kernels of a unit cancel in their average",
        partial(edge_units, shuffled=True),
        edge_units,
        part=part,
    )
    for part in ("top_images", "optimized")
)

_SOURCES = ("figures", *(("mnist", "cifar10") if real.available() else ()))

POPULATIONS: tuple[Population, ...] = tuple(
    Population(_CHECK, f"units that look for edges, {source}", partial(edge_units, source=source), 10)
    for source in _SOURCES
)
