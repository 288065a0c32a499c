"""Small targets without a defect that plants and populations of several families share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

Mode = Literal["zeros", "replicate", "reflect", "circular"]

_TRAIN, _VALIDATION = 1_000, 600


def plain(seed: int, source: str, trained: bool = False) -> AuditTarget:
    """A model without a defect: a LeNet by gradient descent, or one fitted in closed form."""
    return on_validation(source, seed, trained_lenet(source, seed) if trained else fitted_readout(source, seed))


def on_validation(source: str, seed: int, model: nn.Module, **details: Any) -> AuditTarget:
    """The model on validation images of that source."""
    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled(source, "validation", seed)
    return AuditTarget.from_arrays(source, model, {"validation": (images, labels)}, classes, **details)


def sampled(source: str, split: str, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names: `digits`, `figures` (turned, without noise), `dataset 2.1`, `mnist` …"""
    from cnnaudit.data import digits, reference, shapes

    if source in real.FILES:
        images, labels, names = real.sample(source, _TRAIN + _VALIDATION + 2_000, generator("planted", seed, source))
        part = {"train": slice(_TRAIN), "validation": slice(_TRAIN, _TRAIN + _VALIDATION), "other": slice(-2_000, None)}
        return images[part[split]], labels[part[split]], names
    number = {"train": _TRAIN, "validation": _VALIDATION, "other": 2_000}[split] // 3
    drawing = derive_seed("planted", seed, split)
    drawn: Any
    if source == "digits":
        drawn = digits("train" if split == "train" else "validation", seed)
    elif source == "figures":
        drawn = shapes("rotation", noise=0, inverted=False, radius=0.6, n_per_class=number, seed=drawing)
    else:
        drawn = reference(source.removeprefix("dataset "), "train", drawing, n_per_class=number)
    return drawn.images, drawn.labels, drawn.classes


@functools.lru_cache(maxsize=16)
def trained_lenet(source: str, seed: int, variation: str = "", limit: float = 0.0) -> nn.Module:
    """A small LeNet trained on the source, half of each batch changed by the variation."""
    import torch

    from cnnaudit.checks.behavior._perturbations import VARIATIONS
    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    def half_changed(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        changed, _ = VARIATIONS[variation].apply(images, limit, random)
        return torch.where(torch.rand(len(images), 1, 1, 1, generator=random) < 0.5, images, changed)

    images, labels, classes = sampled(source, "train", seed)
    model = lenet(filters=(8, 16), hidden=32, classes=len(classes), size=images.shape[2], channels=images.shape[1])
    fit(
        model,
        (images, labels),
        epochs=15 if variation else 8,
        learning_rate=0.005,
        seed=seed,
        transform=half_changed if variation else None,
    )
    return model


@functools.lru_cache(maxsize=4)
def fitted_readout(source: str, seed: int) -> nn.Module:
    """A network fitted to the source in closed form."""
    images, labels, classes = sampled(source, "train", seed)
    return readout(images, labels, len(classes))


def trained(seed: int, padding_mode: Mode) -> AuditTarget:
    """The minimum model of dataset 3.0, trained for a few epochs."""
    from cnnaudit.data import reference
    from cnnaudit.models import minimum
    from cnnaudit.training import fit

    train, validation = (reference("3.0", split, seed, n_per_class=500) for split in ("train", "validation"))
    network = minimum(pool=14, hidden=12, padding_mode=padding_mode)
    fit(network, (train.images, train.labels), epochs=15, seed=seed)
    return on_images(f"minimum model, {padding_mode}", network, (validation.images, validation.labels), train.classes)


def on_images(name: str, network: nn.Module, validation: tuple[Any, Any], classes: tuple[str, ...]) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    return AuditTarget.from_arrays(f"planted: {name}", network, {"validation": validation}, classes=classes)


def unit_images(source: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names."""
    from cnnaudit.data import digits, reference

    if source == "digits":
        data = digits("validation")
        return data.images, data.labels, data.classes
    if source == "figures":
        figures = reference("3.0", "validation", int(rng.integers(2**31)), n_per_class=200)
        return figures.images, figures.labels, figures.classes
    return real.sample(source, 2_000, rng)
