"""The interval of a change that is measured twice on the same images."""

from __future__ import annotations

from cnnaudit.core.statistics import proportion_interval


def paired_drop_interval(lost: int, gained: int, n: int, confidence: float) -> tuple[float, float]:
    """Interval of (lost - gained) / n, the change of a share measured twice on the same n images.

    The exact intervals of lost / n and gained / n (Clopper and Pearson 1934) are joined by the method of variance
    estimates recovery, with the correlation of two cells of a multinomial; unlike a normal interval it is not empty
    where nothing was lost or gained.

    Source: Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27, 2008.

    Example:
        >>> low, high = paired_drop_interval(0, 0, 100, 0.95)
        >>> round(low, 3), round(high, 3)
        (-0.036, 0.036)
    """
    a, b = lost / n, gained / n
    a_low, a_high = proportion_interval(lost, n, confidence)
    b_low, b_high = proportion_interval(gained, n, confidence)
    correlation = -((a * b / ((1 - a) * (1 - b))) ** 0.5) if max(a, b) < 1 else 0.0

    def reach(one: float, other: float) -> float:
        return float((one**2 + other**2 - 2 * correlation * one * other) ** 0.5)

    return a - b - reach(a - a_low, b_high - b), a - b + reach(a_high - a, b - b_low)
