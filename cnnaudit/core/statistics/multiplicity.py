"""Corrections for asking many questions."""

from __future__ import annotations

import numpy as np

ALPHA = 0.05


def gate_confidence(gates: int, alpha: float = ALPHA) -> float:
    """The confidence at which each of `gates` gates is judged so that all share `alpha`: 1 - alpha / gates."""
    return 1 - alpha / max(gates, 1)


def benjamini_hochberg(p_values: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Which hypotheses are rejected at false discovery rate `alpha` (Benjamini and Hochberg 1995).

    Args:
        p_values: shape (m,), each in [0, 1].

    Returns:
        Boolean array of shape (m,).

    Example:
        >>> benjamini_hochberg(np.array([0.001, 0.03, 0.9])).tolist()
        [True, True, False]
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values)
    m = len(p_values)
    below = p_values[order] <= alpha * np.arange(1, m + 1) / max(m, 1)
    rejected = np.zeros(m, dtype=bool)
    if below.any():
        rejected[order[: int(np.max(np.nonzero(below)[0])) + 1]] = True
    return rejected
