"""Permutation p-values."""

from __future__ import annotations

import numpy as np


def permutation_p_value(observed: float, null: np.ndarray) -> float:
    """(b + 1) / (B + 1), with b the number of the B null values at least as large as the observed one.

    Never 0: the observed arrangement is one of the permutations (Phipson and Smyth 2010).

    Example:
        >>> permutation_p_value(3.0, np.array([1.0, 2.0, 2.5]))
        0.25
    """
    null = np.asarray(null, dtype=float)
    return float((1 + np.sum(null >= observed)) / (1 + len(null)))
