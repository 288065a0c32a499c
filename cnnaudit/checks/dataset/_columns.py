"""What a column of metadata says about the label."""

from __future__ import annotations

import numpy as np

from cnnaudit.reading.hand_made import small_tree

FEW_VALUES = 10
_FOLDS = 2


def comparable(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns as they are where all are numbers, else all as text: `7` in one file is "7" beside "7b" in another.

    Example:
        >>> [column.tolist() for column in comparable(np.array([7]), np.array(["7b"]))]
        [['7'], ['7b']]
    """
    arrays = tuple(np.asarray(column) for column in columns)
    if all(array.dtype.kind in "biuf" for array in arrays):
        return arrays
    return tuple(array.astype(str) for array in arrays)


def unusable(column: np.ndarray) -> str:
    """Why a column cannot be asked: constant, or an identifier; empty where it can.

    An identifier is text or whole numbers with another value for more than half of the images. Fractions are
    measurements, however many values they have.
    """
    values = len(np.unique(column))
    if values < 2:
        return "has the same value everywhere"
    if column.dtype.kind != "f" and values > len(column) / 2:
        return f"looks like an identifier: {values} different values for {len(column)} images"
    return ""


def is_numeric(column: np.ndarray) -> bool:
    """Whether values are compared by size: numbers with more than 10 different values."""
    return column.dtype.kind in "iuf" and len(np.unique(column)) > FEW_VALUES


def predict_label(
    known: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int, numeric: bool | None = None
) -> np.ndarray:
    """The class that a column suggests, learned from (known, labels), for the values asked: int64 (n,).

    A category suggests the class that is most over-represented in it (its share there over its share overall, with
    one image of average mixture added); a value never seen suggests class 0, as a constant would. Numbers are
    cut by a decision tree of max(6, 2K) leaves with at least 5 images each; a missing number (NaN) is a value, too.
    """
    if numeric if numeric is not None else is_numeric(known):
        tree = small_tree(known.astype(float)[:, None], labels, max(6, 2 * classes), 5)
        suggested: np.ndarray = tree.predict(asked.astype(float)[:, None])
        return suggested.astype(np.int64)
    overall = np.bincount(labels, minlength=classes) / len(labels)
    values, rows = np.unique(known, return_inverse=True)
    counts = np.zeros((len(values), classes))
    np.add.at(counts, (rows, labels), 1)
    shares = (counts + overall) / (counts.sum(axis=1, keepdims=True) + 1)
    best = np.divide(shares, overall, out=np.zeros_like(shares), where=overall > 0).argmax(axis=1)
    place = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    equal = (values[place] == asked) | ((values[place] != values[place]) & (asked != asked))
    return np.where(equal, best[place], 0).astype(np.int64)


def _cross_predict(column: np.ndarray, labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """`predict_label` where there is one split only: each half is predicted from the other."""
    half = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.nonzero(labels == label)[0])
        half[members] = np.arange(len(members)) % _FOLDS
    predicted = np.zeros(len(labels), dtype=np.int64)
    for fold in range(_FOLDS):
        held = half == fold
        if held.any() and not held.all():
            predicted[held] = predict_label(column[~held], labels[~held], column[held], classes, is_numeric(column))
    return predicted


def ask_column(
    known: tuple[np.ndarray, np.ndarray] | None,
    asked: tuple[np.ndarray, np.ndarray],
    classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The label that a column suggests for each image asked about.

    Args:
        known: values and labels to learn from; None: each half of those asked is predicted from the other half.
        asked: values and labels (n,).
    """
    if known is None:
        return _cross_predict(*asked, classes, rng)
    return predict_label(*known, asked[0], classes)
