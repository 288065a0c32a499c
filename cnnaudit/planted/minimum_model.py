"""Planted defects of minimum models: data that one number per image separates, and claims that no seed keeps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed, generator
from cnnaudit.data._shapes import CLASSES as FIGURES

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget, Claims

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def _target(name: str, splits: Splits, classes: int, model: Any = None, claims: Claims | None = None) -> AuditTarget:
    """A target; without a model, one is fitted in closed form to the training images."""
    from cnnaudit.target import AuditTarget, Claims

    names = FIGURES if classes == len(FIGURES) else tuple("0123456789"[:classes])
    network = model or readout(*splits["train"], classes)
    return AuditTarget.from_arrays(name, network, splits, names, claims=claims or Claims())


def _figures(seed: int, **arguments: Any) -> Splits:
    from cnnaudit.data import shapes

    parts = {
        split: shapes(n_per_class=n, seed=derive_seed("planted", seed, split), **arguments)
        for split, n in (("train", 500), ("validation", 200))
    }
    return {split: (part.images, part.labels) for split, part in parts.items()}


def _digits(seed: int, fewest: int, most: int = 10) -> tuple[Splits, int]:
    """A random subset of the digits' classes."""
    from cnnaudit.data import digits

    rng = generator("planted", seed, "classes")
    kept = np.sort(rng.permutation(10)[: rng.integers(fewest, most + 1)])
    parts = {split: digits(split, seed) for split in ("train", "validation")}
    return {split: _only(kept, part.images, part.labels) for split, part in parts.items()}, len(kept)


def _only(kept: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.isin(labels, kept)
    return images[chosen], np.searchsorted(kept, labels[chosen])


def figures(seed: int, **arguments: Any) -> AuditTarget:
    """Circles, squares and triangles, with a network fitted in closed form."""
    return _target("figures", _figures(seed, **arguments), 3)


def lit_digits(seed: int, by_class: bool) -> AuditTarget:
    """Three digits under three lights that go with the class, or with nothing."""
    splits, _ = _digits(seed, 3, 3)
    lit: Splits = {}
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "light", split)
        level = labels if by_class else rng.integers(0, 3, len(labels))
        light = 0.25 * level + rng.normal(0, 0.01, len(labels))
        lit[split] = (np.clip(0.5 * images + light[:, None, None, None], 0, 1).astype(np.float32), labels)
    return _target("lit digits", lit, 3)


def some_digits(seed: int) -> AuditTarget:
    """Five to ten of the digits."""
    return _target("some digits", *_digits(seed, 5))


def some_photographs(seed: int, name: str) -> AuditTarget:
    """Five to ten classes of MNIST or CIFAR-10."""
    rng = generator("planted", seed, name)
    images, labels = real.sample(name, 1_600, rng)
    kept = np.sort(rng.permutation(10)[: rng.integers(5, 11)])
    splits = {"train": _only(kept, images[:1_000], labels[:1_000])}
    splits["validation"] = _only(kept, images[1_000:], labels[1_000:])
    return _target(name, splits, len(kept))


def claiming(seed: int, accuracy: float, data: dict[str, Any], **model: Any) -> AuditTarget:
    """Figures with an untrained minimum model whose file claims an accuracy."""
    from cnnaudit.models import minimum
    from cnnaudit.target import Claims

    return _target("a claim", _figures(seed, **data), 3, minimum(**model), Claims(accuracy=accuracy))


_SCALING: dict[str, Any] = {"transformation": "scaling", "square": "vertex"}
_PLAIN: dict[str, Any] = {"noise": 0, "inverted": False}
_NOISY: dict[str, Any] = {"noise": 20, "inverted": True}
_STRICT = _SCALING | _NOISY | {"square": "side"}
_ROTATION: dict[str, Any] = {"transformation": "rotation"}

PLANTS: tuple[Plant, ...] = (
    Plant(
        "dataset.minimum_model",
        "figures of changing size without noise (dataset 1.3)",
        partial(figures, **_SCALING, **_PLAIN),
        partial(figures, **_STRICT),
    ),
    Plant(
        "dataset.minimum_model",
        "a light for each class",
        partial(lit_digits, by_class=True),
        partial(lit_digits, by_class=False),
    ),
    Plant(
        "minimum_model.table",
        "16 parameters that claim .93 on noisy figures (dataset 3.0)",
        partial(claiming, accuracy=0.93, data=_STRICT),
        partial(claiming, accuracy=0.45, data=_STRICT),
    ),
    Plant(
        "minimum_model.table",
        "25 parameters that claim .90 on noisy turned figures (dataset 4.0)",
        partial(claiming, accuracy=0.9, data=_ROTATION | _NOISY, pool=14),
        partial(claiming, accuracy=0.9, data=_ROTATION | _NOISY, pool=7),
    ),
)

POPULATIONS: tuple[Population, ...] = (
    Population("dataset.minimum_model", "digits, five to ten classes", some_digits),
    *(
        Population("dataset.minimum_model", f"{name}, five to ten classes", partial(some_photographs, name=name), 10)
        for name in ("mnist", "cifar10")
        if real.available()
    ),
    Population(
        "minimum_model.table",
        "Table I: 16 parameters, .999 on dataset 1.3",
        partial(claiming, accuracy=0.999, data=_SCALING | _PLAIN),
        10,
    ),
    Population(
        "minimum_model.table",
        "Table I: 16 parameters, .642 on dataset 2.1",
        partial(claiming, accuracy=0.642, data=_ROTATION | _PLAIN),
        10,
    ),
    Population(
        "minimum_model.table",
        "Table I: 109 parameters, .930 on dataset 3.0",
        partial(claiming, accuracy=0.93, data=_SCALING | _NOISY | {"swaps": "repeated"}, pool=14, hidden=12),
        10,
    ),
    Population(
        "minimum_model.table",
        "Table I: 333 parameters, .988 on dataset 4.0",
        partial(claiming, accuracy=0.988, data=_ROTATION | _NOISY | {"swaps": "repeated"}, pool=7, hidden=16),
        10,
    ),
)
