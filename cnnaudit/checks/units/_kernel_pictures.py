"""Pictures of kernels, for the evidence of the checks that show units."""

from __future__ import annotations

import numpy as np

SHOWN = 24  # units, or pairs of them


def picture(kernel: np.ndarray) -> np.ndarray:
    """A kernel, 0 as middle gray, enlarged and centered on a square of 56 x 56 pixels: (1, 56, 56)."""
    picture = np.full((1, 56, 56), 0.5)
    scale = max(1, 56 // max(kernel.shape))
    large = np.kron(kernel / max(np.abs(kernel).max(), 1e-12), np.ones((scale, scale)))[:56, :56]
    top, left = (56 - large.shape[0]) // 2, (56 - large.shape[1]) // 2
    picture[0, top : top + large.shape[0], left : left + large.shape[1]] = 0.5 + large / 2
    return picture
