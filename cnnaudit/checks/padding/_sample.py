"""Which images the padding checks look at, and how many they can afford."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.statistics import bootstrap_interval

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget


def affordable(context: CheckContext, forwards: int) -> int:
    """How many images cost as much as `forwards` images of 224 x 224 (more of smaller ones), at least 8.

    That is for the quick profile; the others have proportionally more.
    """
    height, width = context.target.input.size
    images = context.profile.images or 10_000
    return max(8, forwards * 224 * 224 * images // (500 * height * width))


def some(context: CheckContext, available: int, most: int) -> np.ndarray:
    """Positions in the sample of at most that many images, in random order."""
    return context.generator("images").permutation(available)[:most]


def batch_size(target: AuditTarget) -> int:
    """Images at once where activations are kept: the pixels of 8 images of 224 x 224."""
    height, width = target.input.size
    return min(target.batch_size, max(1, 8 * 224 * 224 // (height * width)))


def interval_over_images(
    context: CheckContext, n: int, statistic: Callable[[np.ndarray], float], bounds: tuple[float, float]
) -> tuple[float, float]:
    """The bootstrap interval of a statistic of the positions of n images."""
    if n < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return bootstrap_interval(
        np.arange(n),
        statistic,
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=bounds,
    )
