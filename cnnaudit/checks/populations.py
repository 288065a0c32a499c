"""Ordinary networks on ordinary data: the clean targets that a check must not accuse.

Per data set, a seed names a training: pairs, 3, 5, 7 or all ten of its classes, one of seven architectures, every class
with as many images or three to one, centered or not. Any 75 seeds in a row hold all 45 pairs of classes; data set,
classes, architecture, imbalance and centering are crossed so that none stands for another.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.registry import Population
from cnnaudit.core.errors import DataError
from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

Arrays = tuple[np.ndarray, np.ndarray]

ARCHITECTURES = ("lenet", "vgg", "average pooling", "leaky relu", "silu", "residual", "depthwise")
SIZES = (3, 10, 5, 7)  # numbers of classes where it is not a pair
_ANOTHER_TRY = 1_000_000  # added to the seed of a network that died in training
_SETS = ("digits", *real.FILES)
MARGIN = 4  # pixels by which an image that is not centered may stand off the center
# images per class for training and validation, by number of classes
_GRAY = MappingProxyType({2: (600, 300), 3: (500, 200), 5: (400, 150), 7: (350, 120), 10: (300, 100)})
_COLOR = MappingProxyType({2: (1000, 300), 3: (900, 200), 5: (700, 150), 7: (600, 120), 10: (500, 100)})


@dataclass(frozen=True)
class Ordinary:
    """What one clean network is and was trained on.

    Attributes:
        data: `digits`, `mnist`, `fashion_mnist` or `cifar10`.
        classes: labels of the data set, ascending.
        imbalanced: whether half of the classes have a third of the others' images.
        shifted: whether each image stands at a random place on a larger black canvas.
        seed: of the images, the weights and the order.
    """

    data: str
    classes: tuple[int, ...]
    architecture: str
    imbalanced: bool
    shifted: bool
    seed: int

    @property
    def name(self) -> str:
        """Such as `ordinary: vgg on mnist 3, 8, 3:1, shifted`."""
        notes = ", 3:1" * self.imbalanced + ", shifted" * self.shifted
        return f"ordinary: {self.architecture} on {self.data} {', '.join(map(str, self.classes))}{notes} ({self.seed})"


def ordinary(seeds: int = 300, part: str = "", check: str = "") -> list[Population]:
    """The clean populations of a check, one per data set at hand, `seeds` targets in all.

    Args:
        seeds: targets over all data sets.
        part: the `[part]` of the finding that is measured, where the check has several.
        check: the id of the check, needed only in a module that holds several checks.

    Example:
        >>> ordinary()[0].name
        'ordinary networks on digits'
    """
    names = available()
    each = -(-seeds // len(names))
    return [Population(f"ordinary networks on {name}", partial(build, name), each, part, check) for name in names]


def available() -> tuple[str, ...]:
    """The data sets at hand: digits, and those whose file is in the folder that `CNNAUDIT_DATA` names."""
    return ("digits", *real.names())


def design(data: str, seed: int) -> Ordinary:
    """The training that a seed names.

    Of five seeds in a row, three are pairs of classes and two are larger subsets. The cycles of classes (5), of
    architectures (7) and of imbalance and centering (8) have no common divisor. Photographs are never shifted: they
    have no background to be shifted on.

    Raises:
        DataError: there is no such data set.
    """
    if data not in _SETS:
        raise DataError(f"ordinary networks: data must be one of {', '.join(_SETS)}, got {data!r}")
    turn, step = divmod(seed, 5)
    if step < 3:
        classes: tuple[int, ...] = _pairs(data)[(3 * turn + step) % 45]
    else:
        size = SIZES[(2 * turn + step - 3) % 4]
        rng = np.random.default_rng([_SETS.index(data), seed])
        classes = tuple(sorted(int(k) for k in rng.choice(10, size, replace=False)))
    return Ordinary(
        data=data,
        classes=classes,
        architecture=ARCHITECTURES[(seed + 2 * _SETS.index(data)) % 7],
        imbalanced=seed % 8 in (1, 4),
        shifted=seed % 8 in (4, 7) and data != "cifar10",
        seed=seed,
    )


def build(data: str, seed: int) -> AuditTarget:
    """The target of a seed, with its train and validation images; trained in seconds, or read from the cache."""
    from cnnaudit.target import AuditTarget

    plan = design(data, seed)
    model, splits = _trained(plan)
    names = tuple(_classes(data)[k] for k in plan.classes)
    return AuditTarget.from_arrays(plan.name, copy.deepcopy(model), splits, names, seed=seed)


def warm(seeds: int = 300, jobs: int = 1) -> list[dict[str, Any]]:
    """Train what the first `seeds` targets of `ordinary` need and keep it; what is kept already is not trained again.

    Shows the progress and the time left on a terminal. After an interruption, call it again.

    Args:
        jobs: processes, one thread each.

    Returns:
        Per target its `data`, `classes` (how many), `architecture`, `seed`, validation `accuracy` and CPU `seconds`.
    """
    from joblib import Parallel, delayed

    populations = ordinary(seeds=seeds)
    tasks = [(population.build.args[0], k) for k in range(populations[0].seeds) for population in populations]  # type: ignore[attr-defined]
    done = Parallel(n_jobs=jobs, return_as="generator")(delayed(_measured)(*task) for task in tasks)
    return list(progress(done, "training ordinary networks", len(tasks)))


def _measured(data: str, seed: int) -> dict[str, Any]:
    """One target's row of `warm`."""
    import time

    import torch

    torch.set_num_threads(1)
    start, target, plan = time.process_time(), build(data, seed), design(data, seed)
    seconds = time.process_time() - start
    images, labels = target.sample("validation")
    accuracy = float((target.logits(images).argmax(1) == labels).double().mean())
    row = {"data": data, "classes": len(plan.classes), "architecture": plan.architecture, "seed": seed}
    return {**row, "accuracy": accuracy, "seconds": seconds}


@functools.lru_cache(maxsize=8)
def _trained(plan: Ordinary) -> tuple[nn.Module, Mapping[str, Arrays]]:
    """The network and its splits."""
    from cnnaudit.training.kept import fit_once

    splits = _splits(plan)
    images, _ = splits["train"]
    shape = {"classes": len(plan.classes), "size": images.shape[2], "channels": images.shape[1]}
    architecture = partial(_architecture, plan.architecture, **shape)
    for k in range(5):  # longer each time: few images of a rare class need more epochs
        settings = _settings(plan)
        settings["epochs"] *= k + 1
        model = fit_once(architecture, splits["train"], plan.seed + k * _ANOTHER_TRY, **settings)
        if _has_learned(model, *splits["train"]):
            return model, splits
    raise DataError(f"{plan.name}: none of five trainings beats the most frequent class")


def _has_learned(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether it beats the most frequent class by a tenth on 256 training images: a dead network is no clean one."""
    import torch

    labels = labels[:256]
    with torch.inference_mode():
        answers = model(torch.from_numpy(images[:256]).float() / 255).argmax(1).numpy()
    return bool((answers == labels).mean() > np.bincount(labels).max() / len(labels) + 0.1)


def _settings(plan: Ordinary) -> dict[str, Any]:
    """How long and how fast a network is trained: chosen so that pairs take one to five seconds."""
    epochs = {"digits": 24, "cifar10": 10}.get(plan.data, 8)
    normalized = plan.architecture in ("residual", "depthwise")
    return {
        "epochs": epochs + 2 * plan.shifted * epochs // 3,
        "batch_size": 64 if plan.data in ("mnist", "fashion_mnist") else 32,
        "learning_rate": 0.01 if normalized else 0.005,
        "weight_decay": 0.01,
    }


def _architecture(name: str, classes: int, size: int, channels: int) -> nn.Module:
    """A network of `ARCHITECTURES` before training."""
    from cnnaudit.models import lenet, small_mobilenet, small_resnet, small_vgg

    builders: dict[str, Callable[[], nn.Module]] = {
        "lenet": lambda: lenet((8, 16), 32, classes, size, channels),
        "vgg": lambda: small_vgg(classes, size, channels),
        "average pooling": lambda: small_vgg(classes, size, channels, (16, 32, 32), hidden=None),
        "leaky relu": lambda: small_vgg(classes, size, channels, activation="leaky_relu"),
        "silu": lambda: small_vgg(classes, size, channels, activation="silu"),
        "residual": lambda: small_resnet(classes, channels),
        "depthwise": lambda: small_mobilenet(classes, channels),
    }
    return builders[name]()


def _splits(plan: Ordinary) -> dict[str, Arrays]:
    """Train and validation images as uint8 (N, C, H, W), in random order, with their labels 0..K-1."""
    rng = np.random.default_rng([plan.seed, len(plan.classes), *plan.classes])
    few = set(rng.permutation(plan.classes)[: len(plan.classes) // 2].tolist()) if plan.imbalanced else set()
    counts = (_COLOR if plan.data == "cifar10" else _GRAY)[len(plan.classes)]
    found = {}
    for number, part in enumerate(("train", "validation")):
        images, labels = _images(plan.data, part, plan.seed)
        rows = []
        for label in plan.classes:
            members = rng.permutation(np.flatnonzero(labels == label))[: counts[number]]
            rows.append(members[: len(members) // 3] if label in few else members)
        chosen = rng.permutation(np.concatenate(rows))
        pixels = _scattered(images[chosen], rng) if plan.shifted else images[chosen]
        found[part] = (pixels, np.searchsorted(plan.classes, labels[chosen]))
    return found


def _scattered(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image at a random place of a canvas that is larger by `MARGIN` on every side."""
    n, channels, height, width = images.shape
    canvas = np.zeros((n, channels, height + 2 * MARGIN, width + 2 * MARGIN), images.dtype)
    for image, place, (y, x) in zip(images, canvas, rng.integers(0, 2 * MARGIN + 1, (n, 2))):
        place[:, y : y + height, x : x + width] = image
    return canvas


def _images(data: str, part: str, seed: int) -> Arrays:
    """All images of a split, uint8 (N, C, H, W), and their labels; digits are split anew by each seed."""
    if data == "digits":
        from cnnaudit.data import digits

        found = digits("train" if part == "train" else "validation", seed)
        return np.round(found.images * 255).astype(np.uint8), found.labels
    found_part = real.load(data, "train" if part == "train" else "test")
    return found_part.images, found_part.labels


@functools.cache
def _pairs(data: str) -> Sequence[tuple[int, int]]:
    """The 45 pairs of classes in a random order, so that few seeds already mix easy and hard ones."""
    rng = np.random.default_rng(_SETS.index(data))
    return [pair for _, pair in sorted(zip(rng.permutation(45), combinations(range(10), 2)))]


def _classes(data: str) -> tuple[str, ...]:
    from cnnaudit.data import known_files

    return {"fashion_mnist": known_files.FASHION, "cifar10": known_files.CIFAR10}.get(data, known_files.DIGITS)
