"""The independent tasks of a search: one stack of networks each, on one thread, on any machine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cnnaudit.training._grid import Architecture
from cnnaudit.training.arrays import Arrays
from cnnaudit.training.results import Row, Training


@dataclass(frozen=True)
class Task:
    """Networks that are trained as one stack: one shape, several learning rates and seeds.

    Attributes:
        architectures: equal but for their learning rates.
        given: epochs.
        draw: which draw of the data; 0: the data as they were given.
    """

    architectures: tuple[Architecture, ...]
    seeds: tuple[int, ...]
    given: int
    purpose: Literal["screen", "confirm"] = "screen"
    order_seed: int = 0
    draw: int = 0

    def trainings(self) -> list[Training]:
        """The keys of the task's rows, in the order of the rows."""
        return [
            Training(network, seed, self.order_seed, self.draw, self.given)
            for network in self.architectures
            for seed in self.seeds
        ]


def tasks(architectures: Sequence[Architecture], seeds: Sequence[int], given: int, **details: Any) -> list[Task]:
    """The tasks that train all these architectures from all these seeds, in the order of the architectures."""
    shapes: dict[Architecture, list[Architecture]] = {}
    for network in architectures:
        shapes.setdefault(network.shape, []).append(network)
    return [Task(tuple(same), tuple(seeds), given, **details) for same in shapes.values()]


def run(task: Task, data: Arrays, validation: Arrays, goal: float, batch_size: int, search: str) -> list[Row]:
    """Train a task's networks on one thread, and tell of each in a row.

    Args:
        goal: accuracy on the training images at which a network stops.
        search: the hash that the rows carry.
    """
    import torch

    from cnnaudit.training.stacked import train_stacked

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # shared between processes
            found = train_stacked(
                replace(task.architectures[0], learning_rate=0.01).build,
                data,
                validation=validation,
                seeds=task.seeds,
                learning_rates=[network.learning_rate for network in task.architectures],
                epochs=task.given,
                batch_size=batch_size,
                target_accuracy=goal,
                order_seed=task.order_seed,
            )
    finally:
        torch.set_num_threads(threads)
    assert found.validation_accuracy is not None
    return [
        Row(
            search=search,
            purpose=task.purpose,
            parameters=found.parameters,
            architecture=key.architecture,
            seed=key.seed,
            order_seed=key.order_seed,
            draw=key.draw,
            given=key.given,
            epochs=int(found.epochs[k]),
            train_accuracy=round(float(found.train_accuracy[k]), 6),
            validation_accuracy=round(float(found.validation_accuracy[k]), 6),
            outcome=found.outcome[k],
            seconds=round(found.seconds / len(found), 4),
        )
        for k, key in enumerate(task.trainings())
    ]
