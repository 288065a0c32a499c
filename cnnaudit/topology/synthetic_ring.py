"""Kernels that are one edge at many angles: a ring that is known to be there."""

from __future__ import annotations

from typing import Literal

import numpy as np


def synthetic_ring(
    n: int, snr: float, rng: np.random.Generator, kind: Literal["plane", "bent"] = "bent", size: int = 3
) -> np.ndarray:
    """Kernels (n, size * size) of one edge at uniformly random angles t, plus Gaussian noise.

    `plane`: cos(t) a + sin(t) b with a and b the slopes along both axes. Two eigenvalues dominate their covariance,
    which makes this ring by itself: a Gaussian has it as well. `bent`: this plus cos(2 t) c + sin(2 t) d with c and d
    the two saddles, over sqrt(2), as an edge sharper than a slope has them; no covariance makes this ring.

    Args:
        snr: norm of the edge, 1, over the root mean square norm of the noise.

    Example:
        >>> synthetic_ring(5, 2.0, np.random.default_rng(0)).shape
        (5, 9)
    """
    step = np.linspace(-1, 1, size)
    y, x = (axis.ravel() for axis in np.meshgrid(step, step, indexing="ij"))
    slopes, saddles = (np.stack([p / np.linalg.norm(p) for p in pair]) for pair in ((x, y), (x * x - y * y, x * y)))
    angle = rng.uniform(0, 2 * np.pi, n)
    edges = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ slopes
    if kind == "bent":
        edges = (edges + np.stack([np.cos(2 * angle), np.sin(2 * angle)], axis=1) @ saddles) / np.sqrt(2)
    return np.asarray(edges + rng.normal(size=edges.shape) / (snr * size))
