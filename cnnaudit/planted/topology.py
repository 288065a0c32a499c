"""Planted rings: networks whose kernels are one edge at many angles, and their twins of the same covariance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.plants import Plant, Population
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

WIDTH = 40  # channels: the second layer has 1,600 kernels


def ring_of_edges(seed: int, kind: str, gaussian: bool = False) -> AuditTarget:
    """Kernels of turned edges, or Gaussian ones of the same mean and covariance.

    `bent` and `faint`: all kernels are a bent edge at a signal-to-noise of 2 and of 1. `plane`: all are a plane edge at
    2, whose ring is a fact of the covariance.
    """
    from cnnaudit.topology.synthetic_ring import turned_edges

    rng = generator("planted", "topology", seed, kind)
    n = WIDTH * WIDTH
    found = turned_edges(n, 1.0 if kind == "faint" else 2.0, rng, "plane" if kind == "plane" else "bent")
    if gaussian:
        found = rng.multivariate_normal(found.mean(0), np.cov(found.T), n)
    return _target(f"{'Gaussian of ' if gaussian else ''}turned edges, {kind}", rng.permutation(found), rng)


def gaussian_kernels(seed: int, heavy: bool = False) -> AuditTarget:
    """Gaussian kernels of a random covariance whose eigenvalues fall from 1 at a random pace.

    `heavy`: each kernel times a random scale with the tail of Student's t of 3 degrees of freedom, as kernels have
    when units differ in size; their directions stay the same.
    """
    rng = generator("planted", "topology", seed, "gaussian", heavy)
    basis = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    scale = np.exp(-rng.uniform(0, 0.4) * np.arange(9))
    found = rng.normal(size=(WIDTH * WIDTH, 9)) * scale @ basis
    if heavy:
        found *= np.sqrt(3 / rng.chisquare(3, len(found)))[:, None]
    return _target(f"{'heavy-tailed' if heavy else 'Gaussian'} kernels", found, rng)


def untrained(seed: int) -> AuditTarget:
    """Kernels as PyTorch initializes them."""
    rng = generator("planted", "topology", seed, "untrained")
    return _target("untrained kernels", rng.uniform(-1, 1, (WIDTH * WIDTH, 9)) / 3, rng)


def _target(name: str, kernels: np.ndarray, rng: np.random.Generator) -> AuditTarget:
    """A network with these kernels in its second layer, and images that it is not trained for."""
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    network = nn.Sequential(
        nn.Conv2d(1, WIDTH, 3),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTH, 2),
    )
    layer = network[2]
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernels).reshape(layer.weight.shape))
    images = rng.random((16, 1, 12, 12), dtype=np.float32)
    return AuditTarget.from_arrays(
        f"planted: {name}", network, {"validation": (images, np.arange(16) % 2)}, classes=("a", "b")
    )


PLANTS: tuple[Plant, ...] = tuple(
    Plant(
        "topology.ring",
        words,
        partial(ring_of_edges, kind=kind),
        partial(ring_of_edges, kind=kind, gaussian=True),
    )
    for kind, words in (
        ("bent", "all kernels are one sharp edge at many angles, at a signal-to-noise of 2"),
        ("faint", "all kernels are one sharp edge at many angles, at a signal-to-noise of 1"),
    )
)

POPULATIONS: tuple[Population, ...] = (
    Population("topology.ring", "untrained kernels", untrained, seeds=10),
    Population("topology.ring", "Gaussian kernels", gaussian_kernels, seeds=20),
    Population("topology.ring", "heavy-tailed kernels", partial(gaussian_kernels, heavy=True), seeds=10),
    Population("topology.ring", "a ring that the covariance makes", partial(ring_of_edges, kind="plane"), seeds=10),
)
