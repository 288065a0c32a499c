"""How far production is from validation, image by image, and what accuracy the model's confidence promises there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBORS = 5
FAR = 0.99  # quantile of the validation images' own distances


def distances(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance to the 5 nearest known images: of each known image to the others (n,), of each asked one (m,).

    Args:
        known: features (n, d), n at least 2.
        asked: features (m, d). Both are standardized by the known ones; what does not vary there is left out.
    """
    from scipy.spatial.distance import cdist

    spread = known.std(axis=0)
    varied = spread > 1e-6
    first, second = (((of - known.mean(axis=0)) / np.maximum(spread, 1e-6))[:, varied] for of in (known, asked))
    if not varied.any():
        return np.zeros(len(known)), np.zeros(len(asked))
    own = np.sort(cdist(first, first), axis=1)[:, 1 : NEIGHBORS + 1]  # the first is the image itself
    others = np.sort(cdist(second, first), axis=1)[:, :NEIGHBORS]
    return own.mean(axis=1), others.mean(axis=1)


@dataclass(frozen=True)
class Expected:
    """The accuracy that confidence promises elsewhere.

    Attributes:
        accuracy: in [0, 1].
        low, high: its interval.
        threshold: the confidence above which a share of the known images lies that is their accuracy.
    """

    accuracy: float
    low: float
    high: float
    threshold: float


def expected_accuracy(
    confidence: np.ndarray, right: np.ndarray, elsewhere: np.ndarray, rng: np.random.Generator, level: float = 0.95
) -> Expected:
    """Average thresholded confidence: the share of images elsewhere that are surer than a threshold t.

    On the known images the share above t is the accuracy. The interval is a percentile bootstrap over both sets; it
    knows of chance only, not of a model that is wrong and sure.

    Args:
        confidence: largest probability of each known image, (n,).
        right: whether the model is right on it, (n,).
        elsewhere: largest probability of each image there, (m,).

    Source: Garg et al., Leveraging unlabeled data to predict out-of-distribution performance, ICLR 2022.

    Example:
        >>> confidence = np.linspace(0.5, 1, 101)
        >>> found = expected_accuracy(confidence, confidence > 0.6, confidence, np.random.default_rng(0))
        >>> round(found.accuracy, 2)
        0.79
    """
    drawn = []
    for _ in range(500):
        a, b = rng.integers(0, len(confidence), len(confidence)), rng.integers(0, len(elsewhere), len(elsewhere))
        drawn.append(_above(_threshold(confidence[a], right[a]), elsewhere[b]))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    threshold = _threshold(confidence, right)
    return Expected(_above(threshold, elsewhere), float(low), float(high), threshold)


def _threshold(confidence: np.ndarray, right: np.ndarray) -> float:
    """The confidence that as many images do not exceed as are wrong; below all of it where none is."""
    wrong = int((~right).sum())
    return float(np.sort(confidence)[wrong - 1]) if wrong else -np.inf


def _above(threshold: float, confidence: np.ndarray) -> float:
    return float((confidence > threshold).mean())
