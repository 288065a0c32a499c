"""Labels that a probe contradicts, and how many of them must be wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.statistics import proportion_interval

PENALTY = 0.3
SUREST = 4  # one in so many of the images that look like a class
LEAST_SKILL = 0.25
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
        doubt: P(the likeliest other class) - P(its label), (n,), above 0 where the probe contradicts the label.
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

    def impurity(self, of: np.ndarray) -> float:
        """Share of some images (n,) without the label that is most frequent among those that look like their class.

        It is the probe's error and the label's together, whatever the label is called: 0 where two classes are
        exchanged.
        """
        looks, labels = self.looks[of], self.labels[of]
        table = np.zeros((self.looks.max() + 1, self.labels.max() + 1))
        np.add.at(table, (looks, labels), 1)
        return float(1 - table.max(axis=1).sum() / max(len(looks), 1))

    def skill(self) -> float:
        """How far the probe is from chance (0) to one label for each look (1): 1 - impurity / that without a probe."""
        most = np.bincount(self.labels).max() / len(self.labels)
        return 1 - self.impurity(self.looks >= 0) / (1 - most) if most < 1 else 0.0

    def share(self, of: np.ndarray, confidence: float) -> tuple[float, float, float]:
        """Estimated share of wrong labels among some images, low bound and high bound: see `wrong_share`.

        In one class the probe is taken to err at most twice as often as in all. A probe whose skill is under a quarter
        proves nothing: the share is then 0 and only the high bound is kept.
        """
        surest = of & self.surest
        impurity = min(self.impurity(of), 2 * self.impurity(self.looks >= 0))
        value, low, high = wrong_share(int((self.contradicted & surest).sum()), int(surest.sum()), impurity, confidence)
        return (value, low, high) if self.skill() >= LEAST_SKILL else (0.0, 0.0, high)


def contradictions(probabilities: np.ndarray, labels: np.ndarray, split: np.ndarray) -> Contradictions:
    """What held-out probabilities (n, K) say of the labels (n,).

    An image is surer the more its largest probability exceeds the second; the surest quarter is taken of each split
    and class apart.
    """
    ordered, rows = np.sort(probabilities, axis=1), np.arange(len(labels))
    looks, margin = probabilities.argmax(axis=1), ordered[:, -1] - ordered[:, -2]
    others = probabilities.copy()
    others[rows, labels] = 0
    surest = np.zeros(len(labels), bool)
    for part in np.unique(split):
        for k in np.unique(looks[split == part]):
            members = np.flatnonzero((split == part) & (looks == k))
            surest[members[np.argsort(-margin[members], kind="stable")][: -(-len(members) // SUREST)]] = True
    return Contradictions(labels, looks, others.max(axis=1) - probabilities[rows, labels], surest)


def wrong_share(contradicted: int, surest: int, impurity: float, confidence: float) -> tuple[float, float, float]:
    """Estimated share of wrong labels, with its bounds, from what a probe contradicts where it is surest.

    Of its surest images the probe contradicts a share s. Some of it is the probe's own fault: one that errs on a share
    e of all images errs on about e^2 of its surest quarter (measured on ordinary networks with right labels), so that
    s = w + (1 - w) e^2 for a share w of wrong labels. All that is known of e is that the impurity is at least e; with
    it in place of e, the estimate (s - e^2) / (1 - e^2) is rather too low. Its low bound has the exact binomial low
    bound of s in place of s; the high bound is that of s itself, as if the probe never erred.

    Args:
        contradicted: of the surest images.
        surest: how many they are.
        impurity: in [0, 1].

    Example:
        >>> [round(x, 2) for x in wrong_share(20, 100, 0.3, 0.95)]
        [0.12, 0.04, 0.29]
    """
    if not surest:
        return 0.0, 0.0, 1.0
    low, high = proportion_interval(contradicted, surest, confidence)
    own = min(impurity, 0.99) ** 2
    value, low = (min(max((s - own) / (1 - own), 0.0), s) for s in (contradicted / surest, low))
    return value, low, high
