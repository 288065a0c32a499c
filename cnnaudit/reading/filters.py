"""A filter read as a direction of change, and as a mixture of the classic filters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.models import classic_filters

MOST_TERMS = 3
ALIKE = 0.8  # two filters of a mixture are never more alike than this (cosine)
RANDOM = 2_000


@dataclass(frozen=True)
class Direction:
    """The change of brightness that a filter answers to most.

    Attributes:
        x, y: the unit vector from white to black, x to the right and y downward; 0, 0 for a filter without direction.
        share: of the filter's energy (the sum of its squared weights) that an even slope in that direction explains.
        level: the share that plain brightness explains; positive weights prefer white where `sum` is above 0.
        sum: of the weights: the answer to a white image, less the bias.
    """

    x: float
    y: float
    share: float
    level: float
    sum: float

    @property
    def words(self) -> str:
        """Such as `from white at the upper left to black at the lower right`."""
        if not self.x and not self.y:
            return "no direction: it answers to brightness or to spots, not to a change from white to black"
        to = _compass(self.x, self.y)
        return f"from white at the {_compass(-self.x, -self.y)} to black at the {to}"


def direction_of_change(kernel: np.ndarray) -> Direction:
    """The direction from white to black that excites a filter most.

    The answer to an even slope of brightness along the unit vector u is g . u, with g the first moments
    g_x = sum w (x - mean x), g_y = sum w (y - mean y); it is largest along g, where brightness grows, so that white to
    black is -g. Mean, slopes and the rest are orthogonal parts of the filter, and each has its share of the energy.

    Args:
        kernel: (h, w), as `conv2d` applies it.

    Raises:
        UnsupportedError: the filter is 0 everywhere.

    Source: España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, figures 3, 6, 13, 19.

    Example:
        >>> direction_of_change(np.array([[-1.0, 0.0, 1.0]] * 3)).words
        'from white at the right to black at the left'
    """
    kernel = _checked(kernel)
    energy = float((kernel**2).sum())
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in kernel.shape)
    gx, gy = float((kernel * columns).sum()), float((kernel * rows[:, None]).sum())
    norm_x, norm_y = (columns**2).sum() * len(rows), (rows**2).sum() * len(columns)
    explained = (gx**2 / norm_x if norm_x else 0.0) + (gy**2 / norm_y if norm_y else 0.0)
    length = float(np.hypot(gx, gy))
    level = float(kernel.sum()) ** 2 / kernel.size / energy
    if explained / energy < 1e-6:
        return Direction(0.0, 0.0, 0.0, level, float(kernel.sum()))
    return Direction(-gx / length, -gy / length, float(explained / energy), level, float(kernel.sum()))


@dataclass(frozen=True)
class Mixture:
    """A filter as a weighted sum of a few classic ones.

    Attributes:
        weights: per classic filter (of norm 1) its weight, for the filter scaled to norm 1; the largest first.
        share: of the filter's energy that the sum explains, 1 - |w - sum|^2 / |w|^2.
        chance: the median and the 95 % point of that share for random filters.
    """

    weights: Mapping[str, float]
    share: float
    chance: tuple[float, float]


@dataclass(frozen=True)
class Decomposition:
    """A filter in terms of the classic filters.

    Attributes:
        cosines: with each classic filter; negative where it is the opposite one.
        mixtures: of at most one, two and three filters, the best of each.
        span: the share that all classic filters together explain (least squares); `dimensions` of `size` are theirs, so
            that a random filter reaches dimensions / size on average.
    """

    cosines: Mapping[str, float]
    mixtures: tuple[Mixture, ...]
    span: float
    dimensions: int
    size: int


def decompose(kernel: np.ndarray, seed: int = 0) -> Decomposition:
    """Explain a filter by the classic ones of its size: each alone, the best two and three, and all together.

    A mixture has no filter that counts against its own likeness: each weight has the sign of that filter's cosine (a
    non-negative fit of the filters or their opposites). Every set of filters of which no two are more than .8 alike is
    tried. What random filters (normal weights) reach by the same search says what a share is worth.

    Args:
        kernel: (k, k), k at least 2.
        seed: of the random filters.

    Raises:
        UnsupportedError: the filter is 0 everywhere, not square, or a single pixel.

    Example:
        >>> decompose(np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])).mixtures[0].weights
        {'sobel x': 1.0}
    """
    kernel = _checked(kernel)
    if kernel.shape[0] != kernel.shape[1] or kernel.shape[0] < 2:
        raise UnsupportedError(f"classic filters are square and at least 2 x 2; this one is {kernel.shape}")
    bank = classic_filters(kernel.shape[0])
    names, atoms = list(bank), np.stack([values.ravel() for values in bank.values()])
    unit = kernel.ravel() / np.linalg.norm(kernel)
    random = np.random.default_rng(seed).normal(size=(RANDOM, unit.size))
    units = np.vstack([unit, random / np.linalg.norm(random, axis=1, keepdims=True)])
    mixtures: list[Mixture] = []
    best = np.zeros(len(units))
    chosen: tuple[int, ...] = ()
    for terms in range(1, MOST_TERMS + 1):
        sets = _sets(atoms, terms)
        shares = np.stack([best, *(_explained(atoms, one, units) for one in sets)])
        best, chosen = shares.max(axis=0), (chosen, *sets)[int(shares[:, 0].argmax())]
        solved = np.linalg.pinv(atoms[list(chosen)].T) @ unit
        order = np.argsort(-np.abs(solved), kind="stable")
        weights = {names[chosen[i]]: round(float(solved[i]), 6) for i in order}
        middle, high = (float(q) for q in np.quantile(best[1:], [0.5, 0.95]))
        mixtures.append(Mixture(weights, float(best[0]), (middle, high)))
    span = float(((np.linalg.pinv(atoms) @ atoms @ unit) ** 2).sum())
    cosines = {name: float(atom @ unit) for name, atom in zip(names, atoms)}
    return Decomposition(cosines, tuple(mixtures), span, int(np.linalg.matrix_rank(atoms)), unit.size)


def _sets(atoms: np.ndarray, terms: int) -> list[tuple[int, ...]]:
    """Every set of so many filters, no two of them alike."""
    alike = np.abs(atoms @ atoms.T) > ALIKE
    return [
        one
        for one in itertools.combinations(range(len(atoms)), terms)
        if not any(alike[a, b] for a, b in itertools.combinations(one, 2))
    ]


def _explained(atoms: np.ndarray, chosen: tuple[int, ...], units: np.ndarray) -> np.ndarray:
    """The share of each unit vector (n, d) that the chosen atoms explain; 0 where one counts against its likeness."""
    some = atoms[list(chosen)]
    weights, cosines = units @ np.linalg.pinv(some), units @ some.T
    return np.where((weights * cosines > 0).all(axis=1), (weights * cosines).sum(axis=1), 0.0)


def _checked(kernel: np.ndarray) -> np.ndarray:
    """The filter as floats, refused where it is no matrix or nothing but zeros."""
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim != 2 or not kernel.any():
        raise UnsupportedError(f"a filter is a matrix with a weight other than 0, got shape {kernel.shape}")
    return kernel


def _compass(x: float, y: float) -> str:
    """One of eight directions, x to the right and y downward."""
    names = ("right", "lower right", "bottom", "lower left", "left", "upper left", "top", "upper right")
    return names[round(float(np.arctan2(y, x)) / (np.pi / 4)) % 8]
