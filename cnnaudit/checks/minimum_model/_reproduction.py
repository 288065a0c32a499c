"""Whether small networks reach a claimed accuracy from fresh seeds, and how many of the seeds do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.minimum_model._frontier import BATCH, RATE, STEPS, Arrays
from cnnaudit.training import Architecture, StackedResult, grid, train_stacked

if TYPE_CHECKING:
    import torch
    from torch import nn

MOST_PARAMETERS = 2_000
FRESH_SEEDS = 48


@dataclass(frozen=True, eq=False)
class Reproduced:
    """Networks of one architecture from fresh seeds.

    Attributes:
        name: of the architecture, for a reader.
        train_accuracy, validation_accuracy: (S,), of each seed.
        dead: how many died or diverged.
    """

    name: str
    parameters: int
    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    dead: int

    def reached(self, accuracy: float) -> int:
        """How many seeds have that accuracy on the validation images."""
        return int((self.validation_accuracy >= accuracy).sum())

    @property
    def best(self) -> int:
        """The seed with the highest training accuracy."""
        return int(self.train_accuracy.argmax())


def own_architecture(model: nn.Module, images: torch.Tensor) -> Callable[[], nn.Sequential] | None:
    """How to build the audited network anew, if it is one of those that train fast as a stack; else None.

    Args:
        images: a few, on which the rebuilt network must answer what the model answers.
    """
    import copy

    import torch
    from torch import nn

    from cnnaudit.training.stacked.minimum import design_of

    template = nn.Sequential()
    for name, layer in model.named_children():
        template.add_module(name, copy.deepcopy(layer))
    if design_of(template) is None:
        return None
    with torch.no_grad():
        same = torch.allclose(template.eval()(images), model(images), atol=1e-5)
    return (lambda: copy.deepcopy(template)) if same else None


def candidates(most: int, size: int, channels: int, classes: int) -> tuple[Architecture, ...]:
    """A few networks of at most that many parameters, of 4 or 16 features (or 1), with and without a hidden layer."""
    networks = grid(
        size,
        channels,
        classes,
        cells=(1, 2, 4),
        pooling=("max", "average"),
        hidden=(None, 12),
        padding_mode=("replicate",),
        learning_rate=(RATE,),
    )
    small = [network for network in networks if network.parameters <= most]
    several = [network for network in small if network.features > 1]
    return tuple(several or small)


def most_promising(
    networks: Sequence[Architecture], data: Arrays, claimed: float, seeds: Sequence[int]
) -> Architecture | None:
    """The network most of whose seeds reach the claimed accuracy on training images after a third of the steps."""
    found: tuple[float, float, Architecture] | None = None
    for network in networks:
        result = _train(network.build, data, data, seeds, network.learning_rate, STEPS // 3)
        share, best = float((result.train_accuracy >= claimed).mean()), float(result.train_accuracy.max())
        if found is None or (share, best) > found[:2]:
            found = share, best, network
    return found[2] if found else None


def reproduce(
    name: str, build: Callable[[], nn.Module], data: Arrays, validation: Arrays, rate: float, seeds: Sequence[int]
) -> Reproduced:
    """Train networks of an architecture for about 1,200 steps, from seeds that chose nothing."""
    result = _train(build, data, validation, seeds, rate, 2 * STEPS)
    dead = sum(outcome in ("dead", "diverged") for outcome in result.outcome)
    assert result.validation_accuracy is not None
    return Reproduced(name, result.parameters, result.train_accuracy, result.validation_accuracy, dead)


def _train(
    build: Callable[[], nn.Module], data: Arrays, validation: Arrays, seeds: Sequence[int], rate: float, steps: int
) -> StackedResult:
    """Train a stack for about that many steps; a network that has all training images right stops."""
    epochs = max(1, round(steps / -(-len(data[1]) // BATCH)))
    return train_stacked(
        build,
        data,
        validation=validation,
        seeds=seeds,
        learning_rates=rate,
        epochs=epochs,
        batch_size=BATCH,
        target_accuracy=1.0,
    )
