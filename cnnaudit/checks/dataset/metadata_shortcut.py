"""Does a column of metadata predict the label?

Where the scanner goes with the class, nobody can tell which of the two a model learned. The audit predicts the label
from each column alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, digit_splits, fitted_target, some_classes
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import balanced, generator
from cnnaudit.reading.hand_made import small_tree
from cnnaudit.target import LABELED

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

FEW_VALUES = 10
_FOLDS = 2
_SHOWN_VALUES = 8
_SHOWN_COLUMNS = 6


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


@check(
    question="Does a column of metadata predict the label?",
    statistic="balanced accuracy of the label from the column alone, above chance",
    unit="0: chance, 1: perfect",
    direction="at_most",
    tolerance=0.2,
    gate=True,
    remedy="Balance the classes over the values of this column (or weight the images so), and test on values that the "
    "model has not seen. Otherwise nobody can tell whether the model learned the class or the scanner.",
    reference="Zech et al. (2018), Variable generalization performance of a deep learning model to detect pneumonia",
    needs=("metadata",),
)
def metadata_shortcut(context: CheckContext) -> list[Finding]:
    """How well each column of the metadata alone predicts the label; one finding per column.

    (b - 1/K) / (1 - 1/K), b the balanced accuracy on all validation rows of the rule that
    `predict_label` learns from the training rows; with metadata for one split only, each half of it is predicted from
    the other. The interval is a Bayesian bootstrap over the images, its error divided by the
    number of columns. Constant columns and identifiers (whole numbers or text with another value for more than half of
    the images) are not applicable: nobody could learn them.

    Tolerance: 99 % point of independent columns, .06, and .14 that the interval of 500 images in two classes needs
    around it: .2.
    """
    target = context.target
    described = [name for name, split in target.splits.items() if split.metadata and name in LABELED]
    asked = target.split("validation" if "validation" in described else described[0])
    known = target.split("train") if "train" in described else asked
    if min(len(np.unique(split.labels)) for split in (known, asked)) < 2:
        raise UnsupportedError("predicting the label needs images of two classes with metadata")
    columns = {
        name: comparable(known.metadata[name], asked.metadata[name])
        for name in asked.metadata
        if name in known.metadata
    }
    reasons = {name: unusable(values) for name, (values, _) in columns.items()}
    each = context.among(sum(not reason for reason in reasons.values()))
    learned = None if known is asked else np.asarray(known.labels)
    return [
        context.not_applicable(f"Column '{name}' {reasons[name]}.", part=name)
        if reasons[name]
        else _of_column(target, each, name, None if learned is None else (values, learned), (questions, asked.labels))
        for name, (values, questions) in columns.items()
    ]


def _of_column(
    target: AuditTarget,
    context: CheckContext,
    name: str,
    known: tuple[np.ndarray, np.ndarray] | None,
    asked: tuple[np.ndarray, np.ndarray],
) -> Finding:
    """The finding of one column; `known` and `asked` hold its values and the labels."""
    labels, rng = np.asarray(asked[1]), context.generator(name)
    predicted = ask_column(known, asked, len(target.classes), rng)
    score, chance = balanced.balanced_score(predicted, labels), 1 / len(np.unique(labels))
    return context.judge(
        score,
        balanced.balanced_interval(predicted, labels, context.confidence, rng),
        n=len(labels),
        part=name,
        summary=f"From '{name}' alone the label is predicted with a balanced accuracy of "
        f"{chance + score * (1 - chance):.1%} (chance {chance:.1%}).",
        evidence=_shown(name, asked[0], labels, target.classes),
    )


def _shown(name: str, column: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Evidence]:
    """The mixture of classes behind each value of a column, or behind each quarter of its range."""
    groups: list[tuple[str, np.ndarray]]
    if is_numeric(column):
        known = column[~np.isnan(column.astype(float))]
        bounds = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
        quarter = np.where(np.isnan(column.astype(float)), -1, np.searchsorted(bounds[1:4], column, side="right"))
        groups = [(f"{bounds[k]:.4g} to {bounds[k + 1]:.4g}", quarter == k) for k in range(4)]
        groups.append(("missing", quarter == -1))
    else:
        values, counts = np.unique(column, return_counts=True)
        largest = values[np.argsort(-counts, kind="stable")[:_SHOWN_VALUES]]
        groups = [(str(value) or "missing", column == value) for value in largest]
    present = [int(k) for k in np.unique(labels)][:_SHOWN_COLUMNS]
    rows = [
        [label, int(members.sum()), *(f"{np.mean(labels[members] == k):.1%}" for k in present)]
        for label, members in groups
        if members.any()
    ]
    return [evidence.table(f"The classes behind '{name}'", [name, "images", *(classes[k] for k in present)], rows)]


def described(seed: int, tied: bool, every_class: bool = True) -> AuditTarget:
    """Digits (or some of them) with metadata: a site and an exposure that go with the class, or with nothing."""
    splits, rng = digit_splits(seed), generator("planted", seed, "metadata")
    splits, k = (splits, 10) if every_class else some_classes(splits, seed)
    metadata = {}
    for split, (_, labels) in splits.items():
        cause = labels if tied else rng.permutation(labels)
        strays = rng.random(len(labels)) < 0.1
        site = np.where(strays, rng.integers(0, 5, len(labels)), cause % 5)
        metadata[split] = {
            "site": np.array(["north", "east", "south", "west", "center"])[site],
            "exposure": cause + rng.normal(0, 0.5, len(labels)),
        }
    return fitted_target("described digits", splits, DIGITS[:k], metadata=metadata)


PLANTS = [
    *(
        Plant(
            f"{column} goes with the class", partial(described, tied=True), partial(described, tied=False), part=column
        )
        for column in ("site", "exposure")
    ),
]


POPULATIONS = [
    Population("columns that go with nothing, random classes", partial(described, tied=False, every_class=False), 40),
]
