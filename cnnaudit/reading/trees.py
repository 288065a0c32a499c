"""A small decision tree on features, with its cuts in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.reading.hand_made import small_tree

FOLDS = 5
MOST_LEAVES = 8


@dataclass(frozen=True)
class Node:
    """A node of a tree: a question where it has branches, else an answer.

    Attributes:
        counts: images of each class that reach it.
        answer: the class that it would give.
        feature, threshold: the question `feature <= threshold`.
        yes, no: the branches.
    """

    counts: tuple[int, ...]
    answer: int
    feature: str = ""
    threshold: float = 0.0
    yes: Node | None = None
    no: Node | None = None

    @property
    def leaves(self) -> int:
        """How many answers hang below."""
        return 1 if self.yes is None or self.no is None else self.yes.leaves + self.no.leaves

    @property
    def depth(self) -> int:
        """How many questions are asked at most."""
        return 0 if self.yes is None or self.no is None else 1 + max(self.yes.depth, self.no.depth)


@dataclass(frozen=True)
class Tree:
    """A tree with what it achieves on images that it was not fitted to.

    Attributes:
        right, n: right answers in cross-validation.
        interval: of the accuracy, exact, 95 %.
    """

    root: Node
    right: int
    n: int
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.n


def grow(features: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: int, seed: int = 0) -> Tree:
    """A decision tree as small as its accuracy allows, of 2 to 8 leaves (or as many as there are classes).

    Of the sizes, the smallest whose cross-validated accuracy (5 folds) is within one standard error of the best; then
    fitted to all images. Classes count alike.

    Args:
        features: (n, d).
        labels: int64 (n,) in 0..classes-1.
        names: of the features.

    Raises:
        UnsupportedError: fewer than two classes with 5 images each.

    Source: Breiman et al., Classification and Regression Trees, 1984 (the rule of one standard error).

    Example:
        >>> values, labels = np.arange(20.0)[:, None], np.repeat([0, 1], 10)
        >>> cuts(grow(values, labels, ["x"], 2).root, ["low", "high"])
        ['x <= 9.5: low', 'x > 9.5: high']
    """
    sizes = range(2, max(MOST_LEAVES, classes) + 1)
    folds = fold_numbers(labels, seed)
    answers = np.zeros((len(sizes), len(labels)), dtype=np.int64)
    for fold in range(FOLDS):
        held = folds == fold
        for row, leaves in zip(answers, sizes):
            row[held] = small_tree(features[~held], labels[~held], leaves).predict(features[held])
    right = (answers == labels).sum(axis=1)
    n = len(labels)
    share = right.max() / n
    chosen = int(np.argmax(right / n >= share - np.sqrt(share * (1 - share) / n)))
    fitted = small_tree(features, labels, sizes[chosen]).tree_
    root = _converted(fitted, features, np.asarray(labels), names, classes)
    return Tree(root, int(right[chosen]), n, proportion_interval(int(right[chosen]), n))


def cuts(root: Node, classes: Sequence[str]) -> list[str]:
    """A line per answer: the range of each feature that leads to it, then the class."""

    def below(node: Node, ranges: Mapping[str, tuple[str, str]]) -> list[str]:
        if node.yes is None or node.no is None:
            return [
                f"{' and '.join(_range(name, *range) for name, range in ranges.items()) or 'always'}: "
                f"{classes[node.answer]}"
            ]
        low, high = ranges.get(node.feature, ("", ""))
        threshold = f"{node.threshold:.3g}"
        yes, no = {**ranges, node.feature: (low, threshold)}, {**ranges, node.feature: (threshold, high)}
        return [*below(node.yes, yes), *below(node.no, no)]

    return below(root, {})


def _range(name: str, low: str, high: str) -> str:
    """Such as `1 < x <= 3`; an empty bound is none."""
    return f"{low} < {name} <= {high}" if low and high else f"{name} <= {high}" if high else f"{name} > {low}"


def fold_numbers(labels: np.ndarray, seed: int) -> np.ndarray:
    """A fold in 0..4 for each image, classes spread evenly.

    Raises:
        UnsupportedError: fewer than two classes with 5 images each.
    """
    found, counts = np.unique(labels, return_counts=True)
    if (counts >= FOLDS).sum() < 2:
        raise UnsupportedError(
            f"cross-validation needs two classes of {FOLDS} images or more; there are "
            + (", ".join(f"{count} of class {name}" for name, count in zip(found[:6], counts)) or "none")
        )
    rows = np.random.default_rng(seed).permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[rows] = np.arange(len(labels)) % FOLDS
    return folds


def _converted(tree: Any, features: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: int) -> Node:
    """A scikit-learn tree as nodes; branches that give the same answer are one."""
    present = np.unique(labels)

    def node(index: int, rows: np.ndarray) -> Node:
        counts = tuple(int(count) for count in np.bincount(labels[rows], minlength=classes))
        answer = int(present[int(tree.value[index, 0].argmax())])
        if tree.children_left[index] < 0:
            return Node(counts, answer)
        column, threshold = int(tree.feature[index]), float(tree.threshold[index])
        low = features[rows, column].astype(np.float32) <= threshold
        yes, no = node(tree.children_left[index], rows[low]), node(tree.children_right[index], rows[~low])
        if yes.leaves == no.leaves == 1 and yes.answer == no.answer:
            return Node(counts, answer)
        return Node(counts, answer, names[column], threshold, yes, no)

    return node(0, np.arange(len(labels)))
