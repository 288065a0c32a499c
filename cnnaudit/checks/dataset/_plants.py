"""Targets that the plants of several checks of `dataset` share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed, generator
from cnnaudit.data._shapes import CLASSES as FIGURES

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget


Split = tuple[np.ndarray, np.ndarray]


Splits = dict[str, Split]


_DIGITS = tuple("0123456789")


_TRAIN, _VALIDATION = 1_000, 600


def _target(name: str, splits: Splits, classes: tuple[str, ...], model: Any = None, **details: Any) -> AuditTarget:
    """A target; without a model, one is fitted in closed form to the training images."""
    from cnnaudit.target import AuditTarget

    network = model or readout(*splits["train"], len(classes))
    return AuditTarget.from_arrays(name, network, splits, classes, **details)


def _digits(seed: int) -> Splits:
    from cnnaudit.data import digits

    parts = {split: digits(split, seed) for split in ("train", "validation")}
    return {split: (part.images, part.labels) for split, part in parts.items()}


def _figures(seed: int, **arguments: Any) -> Splits:
    from cnnaudit.data import shapes

    parts = {
        split: shapes(n_per_class=n // 3, seed=derive_seed("planted", seed, split), **arguments)
        for split, n in (("train", _TRAIN), ("validation", _VALIDATION))
    }
    return {split: (part.images, part.labels) for split, part in parts.items()}


def _photographs(seed: int, name: str) -> Splits:
    images, labels = real.sample(name, _TRAIN + _VALIDATION, generator("planted", seed, name))
    return {"train": (images[:_TRAIN], labels[:_TRAIN]), "validation": (images[_TRAIN:], labels[_TRAIN:])}


def _some_classes(splits: Splits, seed: int) -> tuple[Splits, int]:
    """Two to all of the classes at random, numbered anew."""
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
    return _target("digits", _digits(seed), _DIGITS)


def some_digits(seed: int) -> AuditTarget:
    """A random subset of the digits' classes."""
    splits, k = _some_classes(_digits(seed), seed)
    return _target("some digits", splits, _DIGITS[:k])


def some_photographs(seed: int, name: str) -> AuditTarget:
    """A random subset of the classes of MNIST or CIFAR-10."""
    splits, k = _some_classes(_photographs(seed, name), seed)
    return _target(name, splits, _DIGITS[:k])


def figures(seed: int, transformation: str, noise: int, inverted: bool) -> AuditTarget:
    """Circles, squares and triangles."""
    splits = _figures(seed, transformation=transformation, noise=noise, inverted=inverted, swaps="repeated")
    return _target("figures", splits, FIGURES)


_ROTATED = partial(figures, transformation="rotation", noise=20, inverted=True)


_SCALED = partial(figures, transformation="scaling", noise=20, inverted=True)
