"""A group of images that no metadata names: found on one half of the sample, asked about on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.checks.behavior._groups import Group, group_of

SHARE = 0.1  # of the first half that a group holds at least
FEWEST = 8  # images of a group in the first half
LEAVES = 4
COMPONENTS = 10


@dataclass(frozen=True, eq=False)
class Slice:
    """A group that was found on the first half.

    Attributes:
        members: bool (n,), of both halves.
        second: bool (n,), the images that it was not found on.
        confirmed: accuracy inside and outside on the second half, class by class; None where it has none of them.
        p_value: exact, of 'errors of the second half are as frequent inside as outside, class by class'; 1 without.
    """

    members: np.ndarray
    second: np.ndarray
    confirmed: Group | None
    p_value: float


def halves(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which images are in the second half, bool (n,): half of each class at random, the odd one in the first.

    Example:
        >>> second = halves(np.array([0, 0, 0, 1, 1]), np.random.default_rng(0))
        >>> int(second[:3].sum()), int(second[3:].sum())
        (1, 1)
    """
    second = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        second[members[: len(members) // 2]] = True
    return second


def projections(features: list[np.ndarray]) -> np.ndarray:
    """The features of each kind, standardized: the first ten principal components of a kind that has more.

    Components are scaled together, so that the first has deviation 1. Constant features are left out.
    """
    from sklearn.decomposition import PCA

    found = []
    for kind in features:
        spread = kind.std(axis=0)
        standard = ((kind - kind.mean(axis=0)) / np.maximum(spread, 1e-9))[:, spread > 1e-6]
        if standard.shape[1] > COMPONENTS:
            most = min(COMPONENTS, len(standard) - 1)
            standard = PCA(most, svd_solver="full").fit_transform(standard)
            standard = standard / max(float(standard[:, 0].std()), 1e-9)
        found.append(standard)
    return np.concatenate(found, axis=1)


def least(first: int) -> int:
    """Images of the first half that a group holds at least, of so many."""
    return max(FEWEST, round(SHARE * first))


def find(features: np.ndarray, labels: np.ndarray, correct: np.ndarray, second: np.ndarray) -> Slice | None:
    """The group with the most errors beyond its classes' own, found on the first half and counted on the second.

    A regression tree of at most four leaves on the features, fitted to the first half, predicts how much an image's
    error exceeds the error rate of its class; its leaf with the most is the group. The features know neither label nor
    answer, so that a leaf is a kind of image and not 'those that look like another class'.

    Args:
        features: (n, d).
        labels, correct, second: (n,); the last says which images are in the second half.

    Returns:
        None where the tree finds no two kinds of images.
    """
    from sklearn.tree import DecisionTreeRegressor

    rates = np.array([correct[~second & (labels == k)].mean() for k in np.unique(labels)])
    excess = rates[np.searchsorted(np.unique(labels), labels)] - correct
    tree = DecisionTreeRegressor(max_leaf_nodes=LEAVES, min_samples_leaf=least(int((~second).sum())), random_state=0)
    tree.fit(features[~second], excess[~second])
    leaves = tree.apply(features)
    kinds = np.unique(leaves[~second])
    if len(kinds) < 2:
        return None
    members = leaves == max(kinds, key=lambda leaf: float(excess[~second & (leaves == leaf)].mean()))
    group = group_of("", correct[second], labels[second], members[second])
    p_value = stratified_p_value(~correct[second], labels[second], members[second])
    return Slice(members, second, group, p_value)


def stratified_p_value(wrong: np.ndarray, labels: np.ndarray, members: np.ndarray) -> float:
    """Exact one-sided p-value of 'members are wrong no more often than others of their class'.

    Given each class's errors and members, the errors among the members are a sum of independent hypergeometric
    numbers; p is the chance of as many or more (the exact conditional test of stratified 2 x 2 tables).

    Args:
        wrong, labels, members: (n,).

    Source:
        Mehta, Patel and Gray, Computing an exact confidence interval for the common odds ratio in several 2 x 2
        contingency tables, 1985.

    Example:
        >>> members = np.array([True, True, False, False])
        >>> round(stratified_p_value(members, np.zeros(4, int), members), 3)  # 1 / (4 choose 2)
        0.167
    """
    from scipy.stats import hypergeom

    chances = np.ones(1)
    for label in np.unique(labels):
        own = labels == label
        inside, errors = int(members[own].sum()), int(wrong[own].sum())
        counts = np.arange(min(inside, errors) + 1)
        chances = np.convolve(chances, hypergeom.pmf(counts, int(own.sum()), errors, inside))
    return float(min(1.0, chances[int((wrong & members).sum()) :].sum()))
