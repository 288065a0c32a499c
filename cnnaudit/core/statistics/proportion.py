"""Exact binomial statements about a share of images."""

from __future__ import annotations

import functools
import math
from typing import Literal


@functools.lru_cache(maxsize=4096)
def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided exact interval of a proportion (Clopper and Pearson 1934).

    Args:
        successes: how many of the `n` images show the property.
        n: number of independent images, at least 1.
        confidence: coverage, in (0, 1).

    Raises:
        ValueError: `n` is below 1 or `successes` is not in 0..n.

    Example:
        >>> low, high = proportion_interval(0, 320, 1 - 0.05 / 16)
        >>> low == 0 and high < 0.02
        True
    """
    from scipy.stats import beta

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n with n >= 1, got successes={successes}, n={n}")
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def proportion_p_value(
    successes: int, n: int, tolerance: float, direction: Literal["at_most", "at_least"] = "at_most"
) -> float:
    """Exact one-sided p-value of 'the true share respects the tolerance'.

    For `at_most`, P(X >= successes) with X ~ Binomial(n, tolerance); for `at_least`, P(X <= successes).
    """
    from scipy.stats import binom

    if direction == "at_most":
        return float(binom.sf(successes - 1, n, tolerance))
    return float(binom.cdf(successes, n, tolerance))


def needed_images(share: float, tolerance: float, confidence: float, limit: int = 10_000_000) -> int | None:
    """How many images would bring the exact interval of an unchanged `share` clear of `tolerance`.

    Where a share of n images is no whole number, the count nearer the tolerance is taken.
    Returns None where no number up to `limit` would: the share stands on the tolerance.

    Example:
        >>> needed_images(0.0, 0.02, 1 - 0.05 / 16)
        320
    """

    def decided(n: int) -> bool:
        toward = math.ceil if share < tolerance else math.floor
        low, high = proportion_interval(int(toward(round(share * n, 9))), n, confidence)
        return high <= tolerance or low > tolerance

    if share == tolerance or not decided(limit):
        return None
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high
