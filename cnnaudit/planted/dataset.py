"""Planted defects of the data: constant classes, copies, shortcuts, imbalance, labels without signal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.checks.readout import readout, reads_pixel, write_predictions
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


def all_photographs(seed: int, name: str) -> AuditTarget:
    """MNIST or CIFAR-10, all ten classes."""
    return _target(name, _photographs(seed, name), _DIGITS)


def figures(seed: int, transformation: str, noise: int, inverted: bool) -> AuditTarget:
    """Circles, squares and triangles."""
    splits = _figures(seed, transformation=transformation, noise=noise, inverted=inverted, swaps="repeated")
    return _target("figures", splits, FIGURES)


def one_image_class(seed: int, deviation: float = 0.02) -> AuditTarget:
    """Digits in which one class is the same image with a little noise."""
    splits = _digits(seed)
    victim = seed % 10
    changed: Splits = {}
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "noise", split)
        copies = splits["train"][0][splits["train"][1] == victim][:1].repeat(int((labels == victim).sum()), axis=0)
        altered = images.copy()
        altered[labels == victim] = np.clip(copies + rng.normal(0, deviation, copies.shape), 0, 1)
        changed[split] = (altered, labels)
    return _target("one image as a class", changed, _DIGITS)


def leaking_digits(seed: int, share: float = 0.02, altered: bool = False) -> AuditTarget:
    """Digits: that share of each class's validation images also stands in training, as it is or altered."""
    splits = _digits(seed)
    rng = generator("planted", seed, "leak")
    images, labels = splits["validation"]
    chosen = [
        rng.permutation(np.nonzero(labels == k)[0])[: int(np.ceil(share * (labels == k).sum()))] for k in range(10)
    ]
    rows = np.concatenate(chosen)
    copies = images[rows]
    if altered:
        copies = np.clip(0.85 * copies[..., ::-1] + rng.normal(0, 0.01, copies.shape), 0, 1).astype(np.float32)
    train, known = splits["train"]
    splits["train"] = (np.concatenate([train, copies]), np.concatenate([known, labels[rows]]))
    return _target("leaking digits", splits, _DIGITS)


def tinted_digits(seed: int, by_class: bool) -> AuditTarget:
    """Color images of digits whose cast goes with the class, or with nothing."""
    splits: Splits = {}
    casts = generator("planted", seed, "casts").uniform(0, 0.5, (10, 3, 1, 1)).astype(np.float32)
    for split, (images, labels) in _digits(seed).items():
        rng = generator("planted", seed, "tint", split)
        hue = labels if by_class else rng.integers(0, 10, len(labels))
        noise = rng.normal(0, 0.003, (len(labels), 3, 1, 1)).astype(np.float32)
        splits[split] = (np.clip(0.5 * images.repeat(3, axis=1) + casts[hue] + noise, 0, 1), labels)
    return _target("tinted digits", splits, _DIGITS)


def tagged(seed: int, every_class: bool, source: str = "digits") -> AuditTarget:
    """Images with a bright tag in a corner: in one class, or in all of them."""
    splits = _digits(seed) if source == "digits" else _photographs(seed, source)
    marked: Splits = {}
    for split, (images, labels) in splits.items():
        altered = images.copy()
        altered[(labels == seed % 10) | every_class, :, -3:, -3:] = 0.9
        marked[split] = (altered, labels)
    return _target("tagged images", marked, _DIGITS)


def filled(seed: int, source: str = "digits") -> AuditTarget:
    """Digits enlarged until the strokes touch the border: a hard case, where the border belongs to the object."""
    import torch
    from torch.nn import functional

    splits = _digits(seed) if source == "digits" else _photographs(seed, source)
    enlarged: Splits = {}
    for split, (images, labels) in splits.items():
        boxes = []
        for image in torch.from_numpy(images):
            rows, columns = (torch.nonzero((image[0] > 0.2).any(dim=axis))[:, 0] for axis in (1, 0))
            box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            height, width = box.shape[1:]
            missing = (max(height, width) - width, max(height, width) - height)
            square = functional.pad(
                box, [missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2]
            )
            boxes.append(functional.interpolate(square[None], size=images.shape[2:], mode="bilinear")[0])
        enlarged[split] = (torch.stack(boxes).clamp(0, 1).numpy(), labels)
    return _target("digits up to the border", enlarged, _DIGITS)


def described(seed: int, tied: bool, every_class: bool = True) -> AuditTarget:
    """Digits (or some of them) with metadata: a site and an exposure that go with the class, or with nothing."""
    splits, rng = _digits(seed), generator("planted", seed, "metadata")
    splits, k = (splits, 10) if every_class else _some_classes(splits, seed)
    metadata = {}
    for split, (_, labels) in splits.items():
        cause = labels if tied else rng.permutation(labels)
        strays = rng.random(len(labels)) < 0.1
        site = np.where(strays, rng.integers(0, 5, len(labels)), cause % 5)
        metadata[split] = {
            "site": np.array(["north", "east", "south", "west", "center"])[site],
            "exposure": cause + rng.normal(0, 0.5, len(labels)),
        }
    return _target("described digits", splits, _DIGITS[:k], metadata=metadata)


def graded(seed: int, recall: float | None) -> AuditTarget:
    """400 'pass' and 30 'fail' images with a model that always says pass, or is right on that share of each class."""
    labels = np.repeat([0, 1], [400, 30])
    predicted = np.zeros_like(labels)
    rng = generator("planted", seed, "graded")
    if recall is not None:
        predicted = labels.copy()
        for k in (0, 1):
            members = rng.permutation(np.nonzero(labels == k)[0])
            wrong = members[: round((1 - recall) * len(members))]
            predicted[wrong] = 1 - k
    images = write_predictions(rng.random((430, 1, 8, 8), dtype=np.float32), predicted, 2)
    return _target("graded", {"validation": (images, labels)}, ("pass", "fail"), reads_pixel(2))


def shuffled_digits(seed: int) -> AuditTarget:
    """Digits whose labels were shuffled, in both splits."""
    rng = generator("planted", seed, "shuffle")
    splits = {split: (images, rng.permutation(labels)) for split, (images, labels) in _digits(seed).items()}
    return _target("shuffled digits", splits, _DIGITS)


_ROTATED = partial(figures, transformation="rotation", noise=20, inverted=True)
_SCALED = partial(figures, transformation="scaling", noise=20, inverted=True)

PLANTS: tuple[Plant, ...] = (
    Plant("dataset.constant_class", "one digit is one image with a little noise", one_image_class, plain_digits),
    Plant(
        "dataset.constant_class",
        "rotated circles without noise (dataset 2.1)",
        partial(figures, transformation="rotation", noise=0, inverted=False),
        _ROTATED,
    ),
    Plant("dataset.leakage", "2 % of the validation images copied into training", leaking_digits, plain_digits),
    Plant(
        "dataset.leakage",
        "5 % copied, mirrored, darker and noisy",
        partial(leaking_digits, share=0.05, altered=True),
        plain_digits,
    ),
    Plant(
        "dataset.leakage",
        "scaled figures without noise (dataset 1.3)",
        partial(figures, transformation="scaling", noise=0, inverted=False),
        _SCALED,
    ),
    Plant(
        "dataset.trivial_feature",
        "a color cast that goes with the class",
        partial(tinted_digits, by_class=True),
        partial(tinted_digits, by_class=False),
    ),
    Plant("dataset.trivial_feature", "figures of one size (dataset 4.0)", _ROTATED, _SCALED),
    Plant(
        "dataset.border_shortcut",
        "a tag in the corner of one class",
        partial(tagged, every_class=False),
        partial(tagged, every_class=True),
    ),
    *(
        Plant(
            "dataset.metadata_shortcut",
            f"{column} goes with the class",
            partial(described, tied=True),
            partial(described, tied=False),
            part=column,
        )
        for column in ("site", "exposure")
    ),
    Plant(
        "dataset.class_imbalance",
        "'always pass' on 400 / 30",
        partial(graded, recall=None),
        partial(graded, recall=0.9),
    ),
    Plant("dataset.label_signal", "shuffled labels", shuffled_digits, plain_digits),
)

_CLEAN: tuple[tuple[str, Any], ...] = (
    ("digits, random classes", some_digits),
    ("scaled figures with noise (3.0)", _SCALED),
    *(
        (f"{name}, random classes", partial(some_photographs, name=name))
        for name in ("mnist", "cifar10")
        if real.available()
    ),
)
_BORDERS: tuple[tuple[str, Any], ...] = (
    ("digits up to the border", filled),
    *(
        (f"{name}, ten classes", partial(all_photographs, name=name))
        for name in ("mnist", "cifar10")
        if real.available()
    ),
    *(
        (f"{name}, a tag in every class", partial(tagged, every_class=True, source=name))
        for name in ("mnist", "cifar10")
        if real.available()
    ),
    *((("mnist up to the border", partial(filled, source="mnist")),) if real.available() else ()),
)

POPULATIONS: tuple[Population, ...] = (
    *(
        Population(f"dataset.{check}", name, build)
        for check in (
            "constant_class",
            "leakage",
            "trivial_feature",
            "border_shortcut",
            "class_imbalance",
            "label_signal",
        )
        for name, build in _CLEAN
    ),
    Population(
        "dataset.metadata_shortcut",
        "columns that go with nothing, random classes",
        partial(described, tied=False, every_class=False),
        seeds=40,
    ),
    *(Population("dataset.border_shortcut", name, build) for name, build in _BORDERS),
    *(
        Population(f"dataset.{check}", "rotated figures with noise (4.0)", _ROTATED)
        for check in ("constant_class", "leakage")
    ),
)
