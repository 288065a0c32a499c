"""Planted defects of the `separability` family: features that know nothing of the class."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

_TRAIN, _VALIDATION = 900, 600
_MINIMUM = {"3.0": (14, 12), "4.0": (7, 16)}  # pooling window, hidden neurons
_LEARNED = 0.8  # training accuracy of a model that has learned its dataset; some initializations die


def features(
    seed: int, dataset: Literal["3.0", "4.0"], knows: Literal["class", "nothing", "background"]
) -> AuditTarget:
    """The minimum model of a dataset and its validation images, of which the first linear layer reads features.

    Where it should know nothing, the images of the sample are shuffled against their labels; where it should know the
    background alone, within each background.
    """
    from cnnaudit.data import reference

    images = reference(dataset, "validation", derive_seed("planted", seed), n_per_class=_VALIDATION // 3)
    model = _trained(seed, dataset)
    rng = generator("planted", seed, "shuffle")
    rows = np.arange(len(images.labels))
    for part in {"class": [], "nothing": [rows], "background": [rows[images.polarity], rows[~images.polarity]]}[knows]:
        rows[part] = part[rng.permutation(len(part))]
    return _target(f"minimum model of {dataset}", model, images.images[rows], images.labels, images.classes)


def plain(seed: int, source: str) -> AuditTarget:
    """A small LeNet on digits or other real images."""
    model, images, labels, classes = _lenet(seed, source)
    return _target(f"LeNet on {source}", model, images, labels, classes)


@functools.lru_cache(maxsize=40)
def _trained(seed: int, dataset: str) -> nn.Module:
    """The minimum model, trained for a few epochs from the first of some seeds that learns."""
    from cnnaudit.data import reference
    from cnnaudit.models import minimum
    from cnnaudit.training import fit

    train = reference(dataset, "train", derive_seed("planted", seed), n_per_class=_TRAIN // 3)
    pool, hidden = _MINIMUM[dataset]
    for attempt in range(20):
        model = minimum(pool=pool, hidden=hidden)
        history = fit(model, (train.images, train.labels), epochs=15, seed=1_000 * seed + attempt)
        if history[-1]["accuracy"] > _LEARNED:
            break
    return model


@functools.lru_cache(maxsize=40)
def _lenet(seed: int, source: str) -> tuple[nn.Module, np.ndarray, np.ndarray, tuple[str, ...]]:
    """A small LeNet trained for a few epochs, with images that it has not seen, their labels and the classes."""
    from cnnaudit.data import digits
    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    if source == "digits":
        train, held = (digits(split, seed) for split in ("train", "validation"))
        images, labels, classes = train.images, train.labels, train.classes
        unseen = held.images, held.labels
    else:
        classes = real.CIFAR10 if source == "cifar10" else tuple("0123456789")
        drawn, names = real.sample(source, 3_500, generator("planted", seed, source))
        images, labels, unseen = drawn[:-500], names[:-500], (drawn[-500:], names[-500:])
    model = lenet(filters=(8, 16), hidden=32, classes=len(classes), size=images.shape[2], channels=images.shape[1])
    fit(model, (images, labels), epochs=5, learning_rate=0.005, seed=seed)
    return model, *unseen, classes


def _target(
    name: str, model: nn.Module, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    return AuditTarget.from_arrays(f"planted: {name}", model, {"validation": (images, labels)}, classes)


PLANTS: tuple[Plant, ...] = (
    *(
        Plant(
            "separability.clusters",
            f"features of dataset {dataset} shuffled among the images",
            partial(features, dataset=dataset, knows="nothing"),
            partial(features, dataset=dataset, knows="class"),
        )
        for dataset in ("3.0", "4.0")
    ),
    Plant(
        "separability.clusters",
        "features of dataset 4.0 shuffled among images of the same background",
        partial(features, dataset="4.0", knows="background"),
        partial(features, dataset="4.0", knows="class"),
    ),
)

POPULATIONS: tuple[Population, ...] = tuple(
    Population("separability.clusters", f"LeNets on {source}", partial(plain, source=source), seeds=10)
    for source in ("digits", *(("mnist", "cifar10") if real.available() else ()))
)
