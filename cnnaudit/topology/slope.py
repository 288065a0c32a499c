"""The direction in which a kernel grows."""

from __future__ import annotations

import numpy as np

WEAK = 0.1  # share of a kernel's energy in its slope, below which it has no direction


def slope_direction(kernels: np.ndarray) -> np.ndarray:
    """The direction (N,) in which each kernel grows, counterclockwise from the right; NaN where it has none.

    The angle of (sum of x k, sum of y k) over the kernel's places, of a kernel whose share of energy in the plane so
    spanned is at least 10 %.

    Example:
        >>> float(slope_direction(np.array([[[-1.0, 0, 1]] * 3]))[0])
        0.0
    """
    kernels = np.asarray(kernels, dtype=float)
    rows, columns = np.indices(kernels.shape[1:])
    right, up = columns - columns.mean(), rows.mean() - rows
    along = [(kernels * axis).sum((1, 2)) for axis in (right, up)]
    squares = [max(float((axis**2).sum()), 1e-12) for axis in (right, up)]
    planar = along[0] ** 2 / squares[0] + along[1] ** 2 / squares[1]
    centered = kernels - kernels.mean((1, 2), keepdims=True)
    weak = planar < WEAK * np.maximum((centered**2).sum((1, 2)), 1e-12)
    return np.asarray(np.where(weak, np.nan, np.arctan2(along[1], along[0]) % (2 * np.pi)))
