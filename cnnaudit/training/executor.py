"""The independent tasks of a search, one stack of networks each, trained side by side on any machine."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from cnnaudit.core.progress import progress
from cnnaudit.training._grid import Architecture
from cnnaudit.training.arrays import Arrays, as_arrays
from cnnaudit.training.results import Results, Row, Training

if TYPE_CHECKING:
    from joblib import Parallel

Draws = Callable[[int], tuple[tuple[Any, Any], tuple[Any, Any]]]


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

    from cnnaudit.training.stacked.train import train_stacked

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


@dataclass
class Work:
    """Trains tasks in parallel, keeps their rows, and stops starting new ones when the time is over.

    Attributes:
        parallel: the processes, threads or machines, entered once for the whole search.
        stop: training accuracy at which a network stops.
        deadline: on the clock `time.monotonic`.
        late: whether the time was over before everything was trained; `missing` tasks were wanted then.
        asked: every training that was asked for, in order, whether it was done now or stood in the results.
    """

    parallel: Parallel
    results: Results
    data: Arrays
    validation: Arrays
    stop: float
    batch_size: int
    deadline: float | None
    draws: Draws | None
    size: int | None
    late: bool = False
    missing: int = 0
    asked: dict[Training, None] = field(default_factory=dict)

    def train(self, wanted: Sequence[Task], description: str) -> None:
        """Train those of the tasks that are not in the results yet; wave by wave, so that an interruption loses one."""
        from joblib import delayed, effective_n_jobs

        self.asked |= {training: None for task in wanted for training in task.trainings()}
        left = [task for task in wanted if not all(training in self.results for training in task.trainings())]
        jobs = effective_n_jobs(self.parallel.n_jobs)
        size = 4 * jobs if jobs > 1 else 1
        for start in progress(range(0, len(left), size), description, -(-len(left) // size)):
            self.late |= self.deadline is not None and time.monotonic() > self.deadline
            if self.late:
                self.missing += len(left) - start
                return
            found = self.parallel(
                delayed(run)(task, *self._drawn(task.draw), self.stop, self.batch_size, self.results.search)
                for task in left[start : start + size]
            )
            self.results.add([row for rows in found for row in rows])

    @property
    def rows(self) -> list[Row]:
        """The rows that were asked for, in the order in which they were."""
        return [self.results[training] for training in self.asked if training in self.results]

    def _drawn(self, draw: int) -> tuple[Arrays, Arrays]:
        """The data and the validation images of that draw."""
        if not draw or self.draws is None:
            return self.data, self.validation
        data, validation = self.draws(draw)
        return as_arrays(data, self.size, f"training (draw {draw})"), as_arrays(validation, self.size, f"draw {draw}")
