"""Is a cue there? How well it tells each class from the rest, on images that the learner has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import UnsupportedError

#: Leaves of the tree: a cue is one or two thresholds, and a stronger learner would read the object itself.
LEAVES = 6
#: The fewest images of a class in each split.
FEWEST = 5
_REST = 2_000
_DRAWS = 2_000


@dataclass(frozen=True, eq=False)
class Availability:
    """How well each class is told from all others by a cue alone.

    Attributes:
        classes: int64 (k,), those with at least 5 images in both splits.
        auc: (k,) in [0, 1]; .5 is chance.
        low, high: bounds of a Bayesian bootstrap over images (k,). The low ones hold for all classes at once.
    """

    classes: np.ndarray
    auc: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def ranked(self) -> list[int]:
        """The judged classes, the best told first."""
        return [int(k) for k in self.classes[np.argsort(-self.auc, kind="stable")]]

    def _repr_html_(self) -> str:
        """What a notebook shows: per class how well the cue tells it."""
        from cnnaudit.core.notebook import table_html

        rows = zip(*(values.tolist() for values in (self.classes, self.auc, self.low, self.high)))
        return table_html(["class", "AUC", "from", "to"], sorted(rows, key=lambda row: -row[1]))


def availability(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Availability:
    """One-against-rest AUC of a cue: for each class a tree of 6 leaves, fitted to one split and asked of the other.

    The AUC is the lesser of both directions. Of the rest at most 2,000 images a class are used, so that many classes
    stay affordable.

    Args:
        train, validation: what a cue reads, (n, F), and labels (n,).

    Raises:
        UnsupportedError: fewer than two classes have 5 images in both splits.

    Source: Torralba and Efros, Unbiased look at dataset bias, CVPR 2011 (name that dataset).
    """
    splits = (train, validation)
    present = [k for k in np.unique(train[1]) if all(FEWEST <= (of == k).sum() <= len(of) - FEWEST for _, of in splits)]
    if len(present) < 2:
        raise UnsupportedError(
            f"availability compares classes; {len(present)} have at least {FEWEST} images in both splits"
        )
    joint = 1 - (1 - confidence) / len(present)
    rows = []
    for k in present:
        learned, asked = (_part(*split, k, rng) for split in splits)
        ways = [_one_way(learned, asked, rng), _one_way(asked, learned, rng)]
        point, drawn = min(ways, key=lambda way: way[0])
        centered = drawn - drawn.mean() + point
        rows.append((point, np.quantile(centered, (1 - joint) / 2), np.quantile(centered, (1 + confidence) / 2)))
    table = np.clip(np.array(rows), 0, 1)
    return Availability(np.array(present, dtype=np.int64), table[:, 0], table[:, 1], table[:, 2])


def _part(features: np.ndarray, labels: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The class and at most 2,000 images of the rest: features and whether each is of the class."""
    own, rest = np.flatnonzero(labels == k), np.flatnonzero(labels != k)
    rows = np.concatenate([rng.permutation(own)[:_REST], rng.permutation(rest)[:_REST]])
    return np.asarray(features)[rows], labels[rows] == k


def _one_way(
    known: tuple[np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """AUC of a tree fitted to one split and asked of the other, and what it could be: (draws,)."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, class_weight="balanced", random_state=0
    ).fit(*known)
    values, bins = np.unique(tree.predict_proba(asked[0])[:, 1], return_inverse=True)
    inside, outside = (np.bincount(bins[of], minlength=len(values)) for of in (asked[1], ~asked[1]))
    # A Jeffreys prior of weight 1: an outcome never seen may still have a rate of a few percent.
    drawn = [rng.dirichlet(counts + 1 / len(values), size=_DRAWS) for counts in (inside, outside)]
    return float(_auc(inside / inside.sum(), outside / outside.sum())), np.asarray(_auc(*drawn))


def _auc(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """P(score of an inside image > that of an outside one) + P(equal) / 2, from shares of ascending scores (..., m)."""
    below = np.cumsum(outside, axis=-1) - outside
    area: np.ndarray = (inside * (below + outside / 2)).sum(axis=-1)
    return area
