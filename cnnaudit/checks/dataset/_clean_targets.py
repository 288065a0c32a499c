"""Clean targets that plants and populations of several checks of `dataset` start from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import Population, real
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed, generator
from cnnaudit.data._shapes import CLASSES as FIGURES

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

Split = tuple[np.ndarray, np.ndarray]
Splits = dict[str, Split]

DIGITS = tuple("0123456789")
_TRAIN, _VALIDATION = 1_000, 600


def fitted_target(
    name: str, splits: Splits, classes: tuple[str, ...], model: Any = None, **details: Any
) -> AuditTarget:
    """A target; without a model, one is fitted in closed form to the training images."""
    from cnnaudit.target import AuditTarget

    network = model or readout(*splits["train"], len(classes))
    return AuditTarget.from_arrays(name, network, splits, classes, **details)


def digit_splits(seed: int) -> Splits:
    """Training and validation digits."""
    from cnnaudit.data import digits

    parts = {split: digits(split, seed) for split in ("train", "validation")}
    return {split: (part.images, part.labels) for split, part in parts.items()}


def figure_splits(seed: int, **arguments: Any) -> Splits:
    """Training and validation figures, 1,000 and 600."""
    from cnnaudit.data import shapes

    parts = {
        split: shapes(n_per_class=n // 3, seed=derive_seed("planted", seed, split), **arguments)
        for split, n in (("train", _TRAIN), ("validation", _VALIDATION))
    }
    return {split: (part.images, part.labels) for split, part in parts.items()}


def photograph_splits(seed: int, name: str) -> Splits:
    """1,000 and 600 images of a data set of `real`."""
    images, labels, _ = real.sample(name, _TRAIN + _VALIDATION, generator("planted", seed, name))
    return {"train": (images[:_TRAIN], labels[:_TRAIN]), "validation": (images[_TRAIN:], labels[_TRAIN:])}


def some_classes(splits: Splits, seed: int) -> tuple[Splits, int]:
    """Two to all of the classes at random, numbered anew, and how many."""
    rng = generator("planted", seed, "classes")
    total = int(splits["train"][1].max()) + 1
    kept = np.sort(rng.permutation(total)[: rng.integers(2, total + 1)])
    few = {
        split: (images[np.isin(labels, kept)], np.searchsorted(kept, labels[np.isin(labels, kept)]))
        for split, (images, labels) in splits.items()
    }
    return few, len(kept)


def plain_digits(seed: int) -> AuditTarget:
    """The digits as they are."""
    return fitted_target("digits", digit_splits(seed), DIGITS)


def figures(seed: int, transformation: str, noise: int, inverted: bool) -> AuditTarget:
    """Circles, squares and triangles."""
    splits = figure_splits(seed, transformation=transformation, noise=noise, inverted=inverted, swaps="repeated")
    return fitted_target("figures", splits, FIGURES)


scaled_figures = partial(figures, transformation="scaling", noise=20, inverted=True)
turned_figures = partial(figures, transformation="rotation", noise=20, inverted=True)


def clean_populations(seeds: int = 300) -> list[Population]:
    """Ordinary networks on ordinary data, and figures of changing size with noise."""
    return [*ordinary(seeds=seeds), Population("scaled figures with noise (3.0)", scaled_figures, 20)]
