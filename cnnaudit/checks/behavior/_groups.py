"""Accuracy group by group, against the other images, class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cnnaudit.core.statistics import needed_images, proportion_interval
from cnnaudit.target.metadata import typed

MOST_VALUES = 10  # a numeric column with more distinct values is cut into quarters
LEAST = 20  # a value with fewer images is not looked at class by class
CROSSED = 10  # values of a column above which it is not joined with others: patients, file names
PLANNED = 0.9  # the accuracy for which a group's least size is planned


@dataclass(frozen=True, slots=True)
class Group:
    """Images that share a value of a metadata column, or a value and a class.

    Attributes:
        images: how many there are.
        correct: how many of these are classified correctly.
        expected: the accuracy outside the group, with each class weighted as it occurs in the group; a class that
            occurs nowhere else is given the accuracy of all images outside.
        weight: how many images `expected` is worth: 1 / sum over classes of w_k**2 / n_k.
    """

    name: str
    images: int
    correct: int
    expected: float
    weight: float

    @property
    def accuracy(self) -> float:
        """Share of the group's images that are classified correctly."""
        return self.correct / self.images

    @property
    def gap(self) -> float:
        """Expected accuracy less the group's own: above 0 where the group fares worse."""
        return self.expected - self.accuracy

    def interval(self, confidence: float) -> tuple[float, float]:
        """Interval of `gap` from the exact intervals of both accuracies (square-and-add, Newcombe 1998)."""
        return _difference(self.expected, self.weight, self.correct, self.images, confidence)


def groups(
    correct: np.ndarray, labels: np.ndarray, columns: Mapping[str, np.ndarray], classes: Sequence[str]
) -> list[Group]:
    """All values of all columns, all of them within each class, and the values of two columns together.

    Those that have nothing beside them are left out, and joined ones that are one of the two alone.

    Args:
        correct: bool (n,), whether each prediction is right.
        labels: (n,), positions in `classes`.
        columns: metadata, each (n,); a numeric column of more than ten values is cut at its quartiles. Values of every
            two columns of at most ten values (or quarters) are joined too.

    Example:
        >>> correct, labels = np.array([True, True, False, True]), np.zeros(4, int)
        >>> [(g.name, g.gap) for g in groups(correct, labels, {"site": np.array(list("aabb"))}, ("cat",))]
        [('site = a', -0.5), ('site = b', 0.5)]
    """
    found = []
    for column, values in columns.items():
        for value, members in parts(values):
            name = f"{column} = {value}"
            everywhere = group_of(name, correct, labels, members)
            present = np.unique(labels[members]) if members.sum() >= LEAST else labels[:0]
            within = [group_of(f"{name}, class {classes[k]}", correct, labels, members, k) for k in present]
            # a group of one class is the same whether its class is named or not
            found += [everywhere, *(within if sum(g is not None for g in within) > 1 else [])]
    found += [group_of(name, correct, labels, members) for name, members in _joined(columns)]
    return [group for group in found if group is not None]


@dataclass(frozen=True, slots=True)
class Bounded:
    """A group with the interval of its gap, and how many images of the group would decide where they do not (or None).

    The lower bound holds for all groups at once, the upper bound for each (see `bounded`).
    """

    group: Group
    low: float
    high: float
    needed: int | None

    def verdict(self, tolerance: float) -> str:
        """`outside` the tolerance, `inside` or `undecided`."""
        return "outside" if self.low > tolerance else "inside" if self.high <= tolerance else "undecided"


def bounded(found: Sequence[Group], tolerance: float, confidence: float) -> list[Bounded]:
    """Every group with the interval of its gap, whatever its size; together they bound the largest gap.

    Some group is accused wrongly with a chance of at most (1 - confidence) / 2: the lower bounds are corrected for the
    number of groups (Bonferroni). All are cleared wrongly with no more chance than one of them: a pass needs each
    upper bound inside, so that these need no correction (intersection-union test, Berger 1982). Hence the largest gap
    lies between the largest lower and the largest upper bound with that confidence.
    """
    together = 1 - (1 - confidence) / max(len(found), 1)
    rows = []
    for group in found:
        low, high = group.interval(together)[0], group.interval(confidence)[1]
        bound = min(max(group.expected - tolerance, 0.0), 1.0)
        decides = together if group.gap > tolerance else confidence
        undecided = low <= tolerance < high
        needed = needed_images(group.accuracy, bound, decides, limit=100_000) if undecided else None
        rows.append(Bounded(group, low, high, needed and max(needed, group.images + 1)))
    return rows


def group_of(
    name: str, correct: np.ndarray, labels: np.ndarray, members: np.ndarray, label: int | None = None
) -> Group | None:
    """The group's comparison, or None where there is nothing inside or nothing to compare it with."""
    inside, outside = members & _of(labels, label), ~members & _of(labels, label)
    if not inside.any() or not outside.any():
        return None
    known = np.isin(labels, labels[outside])
    parts = [(inside & (labels == k), outside & (labels == k)) for k in np.unique(labels[inside & known])]
    parts.append((inside & ~known, outside))  # classes that occur in the group alone
    terms = [(int(own.sum()), float(correct[rest].mean()), int(rest.sum())) for own, rest in parts if own.any()]
    counts, accuracies, behind = np.array(terms, dtype=float).T
    shares = counts / counts.sum()
    weight = float(1 / np.sum(shares**2 / behind))
    return Group(name, int(inside.sum()), int(correct[inside].sum()), float(shares @ accuracies), weight)


def _of(labels: np.ndarray, label: int | None) -> np.ndarray:
    """The images of that class, or all of them."""
    return np.ones(len(labels), dtype=bool) if label is None else labels == label


def _joined(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Images that share the values of two columns, where neither value says it alone."""
    values = {column: list(parts(cells)) for column, cells in columns.items()}
    small = {column: cells for column, cells in values.items() if 1 < len(cells) <= CROSSED}
    for (one, firsts), (other, seconds) in combinations(small.items(), 2):
        for first, inside in firsts:
            for second, within in seconds:
                members = inside & within
                if members.any() and members.sum() < min(inside.sum(), within.sum()):
                    yield f"{one} = {first} and {other} = {second}", members


def parts(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each value of a column, in words, and the images that have it."""
    values = np.asarray(values)
    numbers = _numbers(values)
    if numbers is None or len(np.unique(numbers)) <= MOST_VALUES:
        for value in np.unique(values.astype(str)):
            yield str(value) or "unknown", values.astype(str) == value
        return
    known = np.isfinite(numbers)
    quarter = np.searchsorted(np.quantile(numbers[known], [0.25, 0.5, 0.75]), numbers)
    for part in np.unique(quarter[known]):
        members = known & (quarter == part)
        yield f"{numbers[members].min():g} to {numbers[members].max():g}", members
    if not known.all():
        yield "unknown", ~known


def _numbers(values: np.ndarray) -> np.ndarray | None:
    """The column as floats, an empty cell as NaN; None where it is text, as codes like `001` are."""
    if values.dtype.kind not in "biuf":
        values = typed([str(value).strip() for value in values])
    return values.astype(float) if values.dtype.kind in "biuf" else None


def _difference(expected: float, weight: float, correct: int, images: int, confidence: float) -> tuple[float, float]:
    """Interval of `expected` (worth `weight` images) less correct / images."""
    behind = max(1, int(weight))
    low_e, high_e = proportion_interval(round(expected * behind), behind, confidence)
    low_a, high_a = proportion_interval(correct, images, confidence)
    accuracy = correct / images
    below = np.hypot(max(expected - low_e, 0), high_a - accuracy)
    above = np.hypot(max(high_e - expected, 0), accuracy - low_a)
    return float(expected - accuracy - below), float(expected - accuracy + above)
