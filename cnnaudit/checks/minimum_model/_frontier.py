"""How few parameters do what a model does: a search of fixed cost over the smallest networks, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.progress import progress
from cnnaudit.training import Architecture, grid, train_stacked

SEEDS = 8
STEPS = 600
RATE = 0.03
REACHED = 0.95
BATCH = 32
_MARGIN = 0.02

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Tried:
    """One architecture's networks.

    Attributes:
        train_accuracy, validation_accuracy: (S,), of each seed.
        right: bool (S, n), which validation images each seed has right.
    """

    architecture: Architecture
    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    right: np.ndarray

    @property
    def chosen(self) -> int:
        """The seed with the highest training accuracy; of equal ones the first."""
        return int(self.train_accuracy.argmax())


@dataclass(frozen=True, eq=False)
class Needed:
    """How many parameters are needed to reach an accuracy.

    Attributes:
        parameters: of the smallest architecture whose best seed by training accuracy reaches it; where none does, of
            the largest tried.
        interval: of `parameters`, over the seeds and the validation images.
        smallest: that architecture; None: none reaches it.
        required: the accuracy.
    """

    parameters: int
    interval: tuple[int, int]
    smallest: Tried | None
    required: float


def simplest(size: int, channels: int, classes: int) -> Architecture:
    """The simplest network: one 3x3 filter, one feature of the image, a linear layer."""
    return Architecture(pool=size, size=size, channels=channels, classes=classes)


def small_networks(size: int, channels: int, classes: int) -> tuple[Architecture, ...]:
    """Ten networks of one filter and 1, 4 or 16 features, by parameters; 16 features by 3x3 filters only."""
    details: dict[str, Any] = {"pooling": ("max", "average"), "padding_mode": ("replicate",), "learning_rate": (RATE,)}
    small = grid(size, channels, classes, kernel=(2, 3), cells=(1, 2), **details)
    return small + grid(size, channels, classes, kernel=(3,), cells=(4,), **details)


def try_out(
    networks: Sequence[Architecture], train: Arrays, validation: Arrays, enough: float, seeds: Sequence[int]
) -> list[Tried]:
    """Train networks in their order for about 600 steps each, until three quarters of one's seeds do well enough.

    Args:
        enough: validation accuracy; seeds that exceed it by two points count.
    """
    found = []
    for network in progress(networks, "smallest networks", len(networks)):
        found.append(train_one(network, train, validation, seeds))
        if (found[-1].validation_accuracy >= enough + _MARGIN * (1 - enough)).mean() >= 0.75:
            break
    return found


def train_one(network: Architecture, train: Arrays, validation: Arrays, seeds: Sequence[int]) -> Tried:
    """Train one architecture from several seeds, for about 600 steps."""
    import torch

    result = train_stacked(
        network.build,
        train,
        validation=validation,
        seeds=seeds,
        learning_rates=network.learning_rate,
        epochs=epochs_for(len(train[1])),
        batch_size=BATCH,
    )
    images, labels = torch.from_numpy(validation[0]), torch.from_numpy(validation[1])
    with torch.no_grad():
        right = torch.stack([result.model(k)(images).argmax(1) == labels for k in range(len(result))])
    return Tried(network, result.train_accuracy, right.numpy().mean(1), right.numpy())


def epochs_for(images: int) -> int:
    """Epochs of about 600 steps."""
    return max(1, round(STEPS / -(-images // BATCH)))


def needed(
    tried: Sequence[Tried],
    model_right: np.ndarray,
    chance: float,
    rng: np.random.Generator,
    resamples: int,
    confidence: float,
) -> Needed:
    """How many parameters reach `chance + REACHED * (accuracy of the model - chance)` on the same validation images.

    The interval is a bootstrap: images are drawn with replacement, for the model and the networks alike, and so are the
    seeds of each architecture, of which the best by training accuracy is taken as before.

    Args:
        tried: by parameters.
        model_right: bool (n,), which images the model has right.
        chance: accuracy of the most frequent class.
    """
    counts = np.array([tried_one.architecture.parameters for tried_one in tried])
    n = len(model_right)

    def smallest(accuracies: np.ndarray, model: np.ndarray) -> np.ndarray:
        """Position of the first architecture that reaches the accuracy, (B,); len(tried) where none does."""
        required = chance + REACHED * (model - chance)
        reached = accuracies >= required[:, None] - 1e-12
        places: np.ndarray = np.where(reached.any(1), reached.argmax(1), len(tried))
        return places

    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    accuracies = np.stack([_of_chosen(one, drawn, rng) for one in tried], axis=1)
    places = smallest(accuracies, drawn @ model_right)
    center = int(
        smallest(np.array([[t.validation_accuracy[t.chosen] for t in tried]]), model_right.mean(keepdims=True))[0]
    )
    values = np.append(counts, counts[-1])
    tail = (1 - confidence) / 2
    low = int(np.quantile(values[places], tail, method="lower"))
    high = int(np.quantile(values[places], 1 - tail, method="higher"))
    parameters = int(values[center])
    return Needed(
        parameters,
        (min(low, parameters), max(high, parameters)),
        tried[center] if center < len(tried) else None,
        float(chance + REACHED * (model_right.mean() - chance)),
    )


def _of_chosen(tried: Tried, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Accuracy (B,) on drawn images of the best by training accuracy among seeds drawn with replacement."""
    order = np.argsort(-tried.train_accuracy, kind="stable")
    best = rng.integers(0, len(order), (len(drawn), len(order))).min(axis=1)
    chosen: np.ndarray = (drawn @ tried.right.T)[np.arange(len(drawn)), order[best]]
    return chosen
