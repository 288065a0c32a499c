"""Bootstrap intervals over independent observations (images or seeds, never pixels)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def bootstrap_interval(
    observations: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 1_000,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float]:
    """Student-t interval on the bootstrap standard error: statistic +- t(n - 1) * se.

    Percentiles are not used, because at one-step corrected confidences (0.997 and above) a thousand resamples
    hold only one or two values in each tail, while their standard error is known within 3 %.

    Args:
        observations: array whose first axis counts independent observations, at least 2.
        statistic: maps a resampled array to one number; a NaN or infinite value on a resample is left out.
        rng: the generator of the resamples.
        bounds: the statistic's range; the interval is clipped to it.

    Raises:
        ValueError: fewer than 2 observations, or the statistic is undefined on them or on most resamples.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12.
    """
    from scipy.stats import t

    observations = np.asarray(observations)
    n = len(observations)
    if n < 2:
        raise ValueError(f"a bootstrap needs at least 2 observations, got {n}")
    center = float(statistic(observations))
    draws = np.array([statistic(observations[rng.integers(0, n, n)]) for _ in range(resamples)], dtype=float)
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(center) or len(draws) < resamples / 2:
        raise ValueError(f"the statistic is undefined on {resamples - len(draws)} of {resamples} resamples")
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * float(draws.std(ddof=1))
    return float(np.clip(center - half, *bounds)), float(np.clip(center + half, *bounds))
