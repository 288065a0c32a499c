"""How the results of several seeds are put into numbers and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile (linear interpolation between order statistics).

    Infinite values are allowed ("never reached"): a quartile beside one is that infinity.

    Example:
        >>> quartiles([1, 2, 3, 4, 5])
        (2.0, 3.0, 4.0)
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if np.isfinite(ordered).all():
        low, middle, high = np.quantile(ordered, [0.25, 0.5, 0.75])
    else:  # interpolating beside infinity gives NaN
        low, middle, high = np.quantile(ordered, [0.25, 0.5, 0.75], method="higher")
    return float(low), float(middle), float(high)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """An interval of the median without any assumption on the distribution, and the confidence that it attains.

    Between the k-th smallest and the k-th largest of n values lies the median with probability
    1 - 2 P(X < k), X ~ Binomial(n, 1/2). The largest k that attains the confidence is taken; where even the range of
    all values does not (fewer than 6 at .95), the range is given with the confidence that it has.

    Source: H. David and H. Nagaraja, Order Statistics, 3rd edition 2003, section 7.1.

    Example:
        >>> median_interval([3.0, 1.0, 2.0, 5.0, 4.0])
        (1.0, 5.0, 0.9375)
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    attained = {k: float(1 - 2 * binom.cdf(k - 1, n, 0.5)) for k in range(1, (n + 1) // 2 + 1)}
    k = max((k for k, reached in attained.items() if reached >= confidence), default=1)
    return float(ordered[k - 1]), float(ordered[n - k]), attained[k]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The median with its quartiles, as text.

    Example:
        >>> spread([0.84, 0.87, 0.9])
        '0.870 (quartiles 0.855 to 0.885)'
    """
    low, middle, high = (shown(value, digits) for value in quartiles(values))
    return middle if low == high else f"{middle} (quartiles {low} to {high})"


def shown(value: float, digits: int = 3) -> str:
    """A number with so many digits after the point, for counts (0 digits) with what they have; 'never' for infinity.

    Example:
        >>> shown(0.9), shown(12.5, 0), shown(float("inf"))
        ('0.900', '12.5', 'never')
    """
    if not np.isfinite(value):
        return "never"
    return f"{value:.{digits}f}" if digits else f"{value:g}"


def median_with_interval(values: Sequence[float], digits: int = 3) -> str:
    """The median with its distribution-free interval, as text.

    Example:
        >>> median_with_interval([13, 12, 11, 13, 14], 0)
        '13 (94 % interval of the median 11 to 14, 5 seeds)'
    """
    low, high, confidence = median_interval(values)
    return (
        f"{shown(float(quartiles(values)[1]), digits)} ({confidence * 100:.0f} % interval of the median "
        f"{shown(low, digits)} to {shown(high, digits)}, {len(values)} seeds)"
    )


def of_kind(rows: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """The rows of one kind."""
    return [row for row in rows if row["kind"] == kind]


def joined(parts: Sequence[str]) -> str:
    """An enumeration.

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
