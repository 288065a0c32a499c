"""Trains the tasks of a search side by side, and keeps what they found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnaudit.core.progress import progress
from cnnaudit.training.arrays import Arrays, as_arrays
from cnnaudit.training.results import Results, Row, Training
from cnnaudit.training.tasks import Task, run

if TYPE_CHECKING:
    from joblib import Parallel

Draws = Callable[[int], tuple[tuple[Any, Any], tuple[Any, Any]]]


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
