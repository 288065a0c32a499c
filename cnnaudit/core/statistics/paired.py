"""What changed between two measurements of the same images."""

from __future__ import annotations

from cnnaudit.core.statistics.proportion import proportion_interval, proportion_p_value


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


def mcnemar_p_value(lost: int, gained: int) -> float:
    """Exact one-sided p-value of 'not more is lost than gained': P(X >= lost), X ~ Binomial(lost + gained, 1/2).

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.

    Example:
        >>> mcnemar_p_value(3, 0)
        0.125
    """
    return proportion_p_value(lost, lost + gained, 0.5) if lost else 1.0
