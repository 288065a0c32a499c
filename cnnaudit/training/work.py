"""Trains the tasks of a search side by side, and keeps what they found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnaudit.progress import progress
from cnnaudit.training.arrays import Arrays, as_arrays
from cnnaudit.training.results import Results, Row, Training
from cnnaudit.training.tasks import Task, run

Draws = Callable[[int], tuple[tuple[Any, Any], tuple[Any, Any]]]


@dataclass
class Work:
    """Trains tasks in parallel, keeps their rows, and stops starting new ones when the time is over."""

    results: Results
    data: Arrays
    validation: Arrays
    stop: float
    batch_size: int
    jobs: int | None
    deadline: float | None
    draws: Draws | None
    size: int | None
    late: bool = False
    missing: int = 0
    asked: dict[Training, None] = field(default_factory=dict)

    def train(self, wanted: Sequence[Task], description: str) -> None:
        """Train those of the tasks that are not in the results yet; wave by wave, so that an interruption loses one."""
        from joblib import Parallel, delayed, effective_n_jobs

        self.asked |= {key: None for task in wanted for key in task.trainings()}
        open_tasks = [task for task in wanted if not all(key in self.results for key in task.trainings())]
        if not open_tasks or self.late:
            self.missing += len(open_tasks)
            return
        jobs = effective_n_jobs(-1 if self.jobs is None else self.jobs)
        size = jobs if jobs == 1 else 4 * jobs
        waves = [open_tasks[k : k + size] for k in range(0, len(open_tasks), size)]
        with Parallel(n_jobs=self.jobs) as parallel:
            for number, wave in enumerate(progress(waves, description, len(waves))):
                if self.deadline is not None and time.monotonic() > self.deadline:
                    self.late, self.missing = True, self.missing + len(open_tasks) - number * size
                    return
                found = parallel(delayed(run)(task, *self._drawn(task.draw), *self._how()) for task in wave)
                self.results.add([row for rows in found for row in rows])

    def _how(self) -> tuple[float, int, str]:
        return self.stop, self.batch_size, self.results.search

    def _drawn(self, draw: int) -> tuple[Arrays, Arrays]:
        if not draw or self.draws is None:
            return self.data, self.validation
        data, validation = self.draws(draw)
        return as_arrays(data, self.size, f"training (draw {draw})"), as_arrays(validation, self.size, f"draw {draw}")

    @property
    def rows(self) -> list[Row]:
        """The rows that were asked for, in the order in which they were."""
        return [self.results[key] for key in self.asked if key in self.results]
