"""How much more often one class carries a pattern than any other, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cnnaudit.cues.model import Sample


@dataclass(frozen=True)
class Excess:
    """Constancy on images that were not used to find the pattern.

    Attributes:
        value: P(an image carries the pattern given the class) - the most of any other class, lesser of both splits.
        low, high: its interval.
        share: P(an image carries it given the class), lesser of both splits.
        elsewhere: the most of any other class, larger of both splits.
    """

    value: float
    low: float
    high: float
    share: float
    elsewhere: float


def excess(
    carriers: Callable[[Tensor], Tensor],
    samples: Sequence[Sample],
    class_index: int,
    confidence: float = 0.95,
    high_confidence: float | None = None,
) -> Excess:
    """The excess of a class over every other, the least over samples such as both splits.

    Each sample's interval is Newcombe's for the difference of two proportions: with Wilson intervals (l, u) of both,
    d - sqrt((p1 - l1)^2 + (u2 - p2)^2) to d + sqrt((u1 - p1)^2 + (p2 - l2)^2). The excess exceeds a bound only where
    it does so in every sample, so the least low and the least high need no correction (intersection-union).

    Args:
        carriers: images -> which carry the pattern, bool (N,).
        samples: each with images of the class and of another.
        high_confidence: of the upper bound, where it is not that of the lower one.

    Source: Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10.

    Example:
        >>> import torch
        >>> images = torch.tensor([1.0] * 50 + [0.0] * 50).view(100, 1, 1, 1)
        >>> sample = Sample(images, np.repeat([0, 1], 50))
        >>> found = excess(lambda x: x[:, 0, 0, 0] > 0.5, [sample], 0)
        >>> found.value, round(found.low, 2), found.high
        (1.0, 0.9, 1.0)
    """
    rows = []
    for sample in samples:
        carry = carriers(sample.images).cpu().numpy()
        own = carry[sample.labels == class_index]
        others = [carry[sample.labels == k] for k in np.unique(sample.labels) if k != class_index]
        most = max(others, key=lambda of: float(of.mean()))
        p, q = float(own.mean()), float(most.mean())
        low, _ = _newcombe(p, len(own), q, len(most), confidence)
        _, high = _newcombe(p, len(own), q, len(most), high_confidence or confidence)
        rows.append((p - q, low, high, p, q))
    table = np.array(rows)
    value, low, high, share, _ = (float(column.min()) for column in table.T)
    return Excess(value, low, high, share, float(table[:, 4].max()))


def _newcombe(p: float, n: int, q: float, m: int, confidence: float) -> tuple[float, float]:
    """The interval of p - q."""
    (l1, u1), (l2, u2) = _wilson(p, n, confidence), _wilson(q, m, confidence)
    return (
        p - q - float(np.hypot(p - l1, u2 - q)),
        p - q + float(np.hypot(u1 - p, q - l2)),
    )


def _wilson(p: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    center, half = p + z**2 / (2 * n), z * float(np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)))
    return max(0.0, (center - half) / (1 + z**2 / n)), min(1.0, (center + half) / (1 + z**2 / n))
