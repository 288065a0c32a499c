"""Planted defects of the `behavior` family: models that answer unsteadily, wrongly, or worse for some images."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.checks.readout import readout, reads_pixel, write_predictions
from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

_TRAIN, _VALIDATION = 1_000, 600
_CLAIMS: Mapping[str, tuple[str, Any]] = {
    "rotation": ("rotation_degrees", 45),
    "translation": ("translation_pixels", 4),
    "scale": ("scale", 1.6),
    "polarity": ("polarity", True),
    "noise": ("noise", 1.0),
}


def varied(
    seed: int, variation: str, trained: bool, source: str = "figures", limit: float | None = None
) -> AuditTarget:
    """A LeNet trained with or without the variation, whose file claims not to mind it."""
    from cnnaudit.target import Claims

    claim, usual = _CLAIMS[variation]
    reach: Any = usual if limit is None else limit
    model = _lenet(source, seed, variation if trained else "", reach if trained else 0.0)
    return _target(source, seed, model, claims=Claims(**{claim: reach}))


def one_pixel(seed: int, pooling: Literal["max", "average"]) -> AuditTarget:
    """Dark, gray and bright squares, told apart by the 16 parameters of the minimum model from their maximum or mean.

    Either model is right everywhere, but one white pixel is the maximum of an image, and a 784th of its mean.
    """
    import torch

    from cnnaudit.models import minimum
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "squares")
    labels, levels, side = np.arange(300) % 3, np.array([0.2, 0.5, 0.8]), 12
    images = np.zeros((300, 1, 28, 28), dtype=np.float32)
    for image, level in zip(images, levels[labels] + rng.uniform(-0.05, 0.05, 300), strict=True):
        top, left = rng.integers(28 - side, size=2)
        image[0, top : top + side, left : left + side] = level
    model = minimum(pooling=pooling)
    share = 1.0 if pooling == "max" else side**2 / 28**2  # of the level that the feature shows
    centers = torch.tensor(levels, dtype=torch.float32)
    weights = {
        "conv.weight": torch.eye(9)[4].view(1, 1, 3, 3),
        "conv.bias": torch.zeros(1),
        "output.weight": centers[:, None] / share,  # the nearest level: z_k = c_k f - c_k**2 / 2
        "output.bias": -(centers**2) / 2,
    }
    model.load_state_dict(weights)
    classes = ("dark", "gray", "bright")
    return AuditTarget.from_arrays("squares", model, {"validation": (images, labels)}, classes)


def batch_statistics(seed: int, training: bool) -> AuditTarget:
    """A network whose batch normalization uses the batch's statistics (training=True), or its running ones."""
    from torch.nn import functional

    images, _, _ = sampled("digits", "train", seed)
    mean, variance = float(images.mean()), float(images.var())

    def normalize(x: torch.Tensor) -> torch.Tensor:
        running = x.new_tensor([mean]), x.new_tensor([variance])
        normal: torch.Tensor = functional.batch_norm(x, *running, training=training)
        return normal.mul(variance**0.5).add(mean)

    return _target("digits", seed, _after(normalize, _read("digits", seed)))


def dropout(seed: int, training: bool) -> AuditTarget:
    """A network whose dropout is left on, or off."""
    from torch.nn import functional

    model = _after(lambda x: functional.dropout(x, 0.2, training=training), _read("digits", seed))
    return _target("digits", seed, model)


def half_precision(seed: int) -> AuditTarget:
    """A network that computes in bfloat16."""
    import torch

    model = copy.deepcopy(_read("digits", seed)).to(torch.bfloat16)
    return _target("digits", seed, _after(lambda x: x.to(torch.bfloat16), model))


def graded(seed: int, always_pass: bool) -> AuditTarget:
    """400 passes and 30 failures: a model that always says pass, or is right nine times out of ten."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "grades")
    labels = np.repeat([0, 1], [400, 30])
    predicted = np.zeros(430, int) if always_pass else np.where(rng.random(430) < 0.9, labels, 1 - labels)
    images = write_predictions(rng.random((430, 1, 8, 8), dtype=np.float32), predicted, 2)
    return AuditTarget.from_arrays("grades", reads_pixel(2), {"validation": (images, labels)}, ("pass", "fail"))


def renamed(seed: int, shuffled: bool) -> AuditTarget:
    """Digits whose classes the file lists in another order than the model's logits, or in the right one."""
    from cnnaudit.target import Claims

    order = np.roll(np.arange(10), 1) if shuffled else np.arange(10)
    model = _read("digits", seed)
    return _target("digits", seed, _before(model, lambda z: z[:, order]), claims=Claims(accuracy=0.9))


def tinted(seed: int, swapped: bool) -> AuditTarget:
    """Digits in warm ink below five, in cold ink above; the file has red and blue the wrong or the right way round."""
    from cnnaudit.target import AuditTarget, Claims

    splits = {}
    for split in ("train", "validation"):
        images, labels, classes = sampled("digits", split, seed)
        warm = generator("planted", seed, "ink", split).uniform(0.6, 1, len(labels)).astype(np.float32)
        ink = np.stack((warm, np.full_like(warm, 0.5), 1 - warm), 1)
        ink = np.where(labels[:, None] < 5, ink, ink[:, ::-1])
        splits[split] = (images * ink[:, :, None, None], labels)
    right = readout(*splits["train"], 10)
    model = _after(lambda x: x.flip(1), right) if swapped else right
    return AuditTarget.from_arrays("tinted digits", model, splits, classes, claims=Claims(accuracy=0.9))


def true_claim(seed: int, source: str) -> AuditTarget:
    """A model that claims the accuracy it has on 2,000 other images."""
    import torch

    from cnnaudit.target import Claims

    images, labels, _ = sampled(source, "other", seed)
    model = _read(source, seed)
    with torch.inference_mode():
        right = [model(part).argmax(1) for part in torch.split(torch.from_numpy(images), 200)]
    return _target(source, seed, model, claims=Claims(accuracy=float((torch.cat(right).numpy() == labels).mean())))


def sites(seed: int, bad: bool, source: str = "digits", number: int = 3) -> AuditTarget:
    """Images from several sites at random; the last one, where it is bad, gives away others for most of its images."""
    images, labels, _ = sampled(source, "validation", seed)
    site = generator("planted", seed, "sites").integers(number, size=len(labels))
    return _from_sites(source, seed, images, labels, site, (site == number - 1) & bad)


def one_class_of_a_site(seed: int, bad: bool) -> AuditTarget:
    """Circles and squares from two sites; the second, where it is bad, gives away others for most of its squares."""
    images, labels, _ = sampled("dataset 1.3", "validation", seed)
    images, labels = images[labels < 2], labels[labels < 2]
    site = generator("planted", seed, "sites").integers(2, size=len(labels))
    return _from_sites("dataset 1.3", seed, images, labels, site, (site == 1) & (labels == 1) & bad)


def _from_sites(
    source: str, seed: int, images: np.ndarray, labels: np.ndarray, site: np.ndarray, bad: np.ndarray
) -> AuditTarget:
    """The model on images with their site, six in ten of the bad ones replaced by images of other classes."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "mixed up")
    wrong = bad & (rng.random(len(labels)) < 0.6)
    others = np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])
    given = np.where(wrong[:, None, None, None], images[others], images)
    columns = {"validation": {"site": np.array([f"site {chr(65 + s)}" for s in site])}}
    classes = sampled(source, "validation", seed)[2]
    return AuditTarget.from_arrays(source, _read(source, seed), {"validation": (given, labels)}, classes, columns)


def plain(seed: int, source: str, trained: bool = False) -> AuditTarget:
    """A model without a defect: a LeNet by gradient descent, or one fitted in closed form."""
    return _target(source, seed, _lenet(source, seed) if trained else _read(source, seed))


def _target(source: str, seed: int, model: nn.Module, **details: Any) -> AuditTarget:
    """The model on validation images of that source."""
    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled(source, "validation", seed)
    return AuditTarget.from_arrays(source, model, {"validation": (images, labels)}, classes, **details)


def sampled(source: str, split: str, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names: `digits`, `figures` (turned, without noise), `dataset 2.1`, `mnist` …"""
    from cnnaudit.data import digits, reference, shapes

    if source in ("mnist", "cifar10"):
        images, labels = real.sample(source, _TRAIN + _VALIDATION + 2_000, generator("planted", seed, source))
        part = {"train": slice(_TRAIN), "validation": slice(_TRAIN, _TRAIN + _VALIDATION), "other": slice(-2_000, None)}
        return images[part[split]], labels[part[split]], real.CIFAR10 if source == "cifar10" else tuple("0123456789")
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
def _lenet(source: str, seed: int, variation: str = "", limit: float = 0.0) -> nn.Module:
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
def _read(source: str, seed: int) -> nn.Module:
    """A network fitted to the source in closed form."""
    images, labels, classes = sampled(source, "train", seed)
    return readout(images, labels, len(classes))


def _after(change: Callable[[torch.Tensor], torch.Tensor], model: nn.Module) -> nn.Module:
    """The model asked about changed images."""
    from torch import nn

    class After(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.model(change(images))
            return answer

    return After()


def _before(model: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """The model with its answers changed."""
    from torch import nn

    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return change(self.model(images))

    return Before()


PLANTS: tuple[Plant, ...] = (
    Plant(
        "behavior.single_pixel",
        "one maximum of the whole image, against its mean",
        partial(one_pixel, pooling="max"),
        partial(one_pixel, pooling="average"),
    ),
    *(
        Plant(
            "behavior.invariance",
            f"trained without {variation}",
            partial(
                varied, variation=variation, trained=False, source="digits" if variation == "rotation" else "figures"
            ),
            partial(
                varied, variation=variation, trained=True, source="digits" if variation == "rotation" else "figures"
            ),
            part=variation,
        )
        for variation in _CLAIMS
    ),
    Plant(
        "behavior.determinism",
        "batch normalization with training=True",
        partial(batch_statistics, training=True),
        partial(batch_statistics, training=False),
    ),
    Plant("behavior.determinism", "dropout left on", partial(dropout, training=True), partial(dropout, training=False)),
    Plant(
        "behavior.collapsed_classes",
        "'always pass' on 400 / 30",
        partial(graded, always_pass=True),
        partial(graded, always_pass=False),
    ),
    Plant(
        "behavior.claimed_accuracy",
        "classes in another order",
        partial(renamed, shuffled=True),
        partial(renamed, shuffled=False),
    ),
    Plant(
        "behavior.claimed_accuracy",
        "red and blue swapped",
        partial(tinted, swapped=True),
        partial(tinted, swapped=False),
    ),
    Plant("behavior.worst_group", "a bad site", partial(sites, bad=True), partial(sites, bad=False)),
    Plant(
        "behavior.worst_group",
        "one class at one site",
        partial(one_class_of_a_site, bad=True),
        partial(one_class_of_a_site, bad=False),
    ),
)

_REAL = ("mnist", "cifar10") if real.available() else ()

POPULATIONS: tuple[Population, ...] = (
    *(
        Population("behavior.single_pixel", f"LeNets on {source}", partial(plain, source=source, trained=True))
        for source in ("digits", "figures", *_REAL[:1])
    ),
    *(
        Population(
            "behavior.invariance",
            f"LeNets on {source}, trained with {variation} up to {limit:g}",
            partial(varied, variation=variation, trained=True, source=source, limit=limit),
            part=variation,
        )
        for source in ("digits", *_REAL[:1])
        for variation, limit in (("rotation", 30), ("translation", 2), ("scale", 1.3), ("polarity", 1), ("noise", 0.3))
    ),
    Population("behavior.determinism", "digits in float32", partial(plain, source="digits", trained=True)),
    Population("behavior.determinism", "digits in bfloat16", half_precision),
    *(
        Population("behavior.collapsed_classes", f"ten classes of {source}", partial(plain, source=source))
        for source in ("digits", *_REAL)
    ),
    *(
        Population("behavior.claimed_accuracy", f"a true claim on {source}", partial(true_claim, source=source))
        for source in ("dataset 3.0", *_REAL)
    ),
    *(
        Population(
            "behavior.worst_group",
            f"{number} random sites of {source}",
            partial(sites, bad=False, source=source, number=number),
        )
        for source in ("digits", *_REAL)
        for number in (2, 3)
    ),
)
