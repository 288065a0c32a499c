"""Labels that a probe contradicts, and how many of them must be wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.statistics import proportion_interval

PENALTY = 0.3
SUREST = 4  # one in so many of the images that look like a class
_LEAST = 1e-3


def held_out_probabilities(kernel: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int) -> np.ndarray:
    """What label each image should have, by kernel ridge regression on the other folds: (n, K), rows sum to 1.

    Args:
        kernel: similarities (n, n).
        labels: (n,) in 0..K-1.
        folds: (n,), the fold of each image.
    """
    from scipy.linalg import cho_factor, cho_solve

    targets, scores = np.eye(classes)[labels], np.zeros((len(labels), classes))
    for fold in np.unique(folds):
        held, used = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        mean = targets[used].mean(axis=0)
        factor = cho_factor(kernel[np.ix_(used, used)] + PENALTY * np.eye(len(used)))
        scores[held] = mean + kernel[np.ix_(held, used)] @ cho_solve(factor, targets[used] - mean)
    positive = np.maximum(scores, _LEAST)
    found: np.ndarray = positive / positive.sum(axis=1, keepdims=True)
    return found


@dataclass(frozen=True, eq=False)
class Contradictions:
    """What a probe says of labels.

    Attributes:
        labels: (n,).
        looks: the class that each image looks like, (n,).
        doubt: P(the class it looks like) - P(its label), (n,), above 0 where the probe contradicts the label.
        surest: whether the image is of the surest quarter of those that look like its class, (n,).
    """

    labels: np.ndarray
    looks: np.ndarray
    doubt: np.ndarray
    surest: np.ndarray

    @property
    def contradicted(self) -> np.ndarray:
        """Whether the image looks like another class than its label says, (n,)."""
        found: np.ndarray = self.looks != self.labels
        return found

    def ranked(self) -> np.ndarray:
        """The contradicted images, the most doubtful label first."""
        rows = np.flatnonzero(self.contradicted)
        return rows[np.argsort(-self.doubt[rows], kind="stable")]

    def share(self, of: np.ndarray, confidence: float) -> tuple[float, float, float]:
        """Estimated share of wrong labels among some images, low bound and high bound: see `wrong_share`."""
        surest = of & self.surest
        return wrong_share(
            int((self.contradicted & surest).sum()),
            int(surest.sum()),
            float(self.contradicted[of].mean()) if of.any() else 0.0,
            confidence,
        )


def contradictions(probabilities: np.ndarray, labels: np.ndarray, split: np.ndarray) -> Contradictions:
    """What held-out probabilities (n, K) say of the labels (n,).

    An image is surer the more its largest probability exceeds the second; the surest quarter is taken of each split
    and class apart.
    """
    ordered = np.sort(probabilities, axis=1)
    looks, margin = probabilities.argmax(axis=1), ordered[:, -1] - ordered[:, -2]
    surest = np.zeros(len(labels), bool)
    for part in np.unique(split):
        for k in np.unique(looks[split == part]):
            members = np.flatnonzero((split == part) & (looks == k))
            surest[members[np.argsort(-margin[members], kind="stable")][: -(-len(members) // SUREST)]] = True
    rows = np.arange(len(labels))
    return Contradictions(labels, looks, probabilities[rows, looks] - probabilities[rows, labels], surest)


def wrong_share(contradicted: int, surest: int, everywhere: float, confidence: float) -> tuple[float, float, float]:
    """Estimated share of wrong labels, with its bounds, from what a probe contradicts where it is surest.

    Of its surest images the probe contradicts a share s, of all a share c. Some of it is the probe's own fault: one
    that errs on a share e of all images errs on about e^2 of its surest quarter (measured on ordinary networks with
    right labels), so the estimate is (s - e^2) / (1 - e). What is known of e: it is at most c, and contradictions of its
    own thin out toward the surest, so it is at most twice (c - s) / (1 - c), the solution of both equations. The lesser
    of the two is taken. The low bound has the exact binomial low bound of s in place of s; the high bound is that of s
    itself, as if the probe never erred.

    Args:
        contradicted: of the surest images.
        surest: how many they are.
        everywhere: c, in [0, 1].

    Example:
        >>> [round(x, 2) for x in wrong_share(20, 100, 0.3, 0.95)]
        [0.16, 0.05, 0.29]
    """
    if not surest:
        return 0.0, 0.0, 1.0
    low, high = proportion_interval(contradicted, surest, confidence)
    share = contradicted / surest
    thinning = max(everywhere - share, 0.0) / max(1 - everywhere, 1e-9)
    own = min(everywhere, 2 * thinning)
    value, low = (min(max((s - own**2) / (1 - own), 0.0), s) if own < 1 else 0.0 for s in (share, low))
    return value, low, high
