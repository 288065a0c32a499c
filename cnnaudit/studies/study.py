"""A study: independent tasks whose rows are kept as they finish, and sentences made from all rows."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cnnaudit import __version__
from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.files import write_whole
from cnnaudit.core.progress import progress

SOURCE = "I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"
Row = Mapping[str, Any]
Task = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effort:
    """What a study's numbers rest on.

    Attributes:
        seeds: networks of each kind, which differ in their first weights and in the order of the images.
        epochs: of training.
        train: training images of each class.
        validation: validation images of each class.
    """

    seeds: int
    epochs: int
    train: int
    validation: int

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds, {self.epochs} epochs, {self.train} training and {self.validation} validation "
            "images of each class"
        )


@dataclass(frozen=True)
class Study:
    """One question, and how it is answered.

    Attributes:
        name: of its files.
        title: in a few words.
        question: in one sentence.
        thesis: what the thesis says of it.
        method: how it is measured, in sentences; what bands and intervals are.
        columns: of the table, in order; a row may leave some empty.
        default, quick: the two efforts.
        tasks: the independent parts, each plain values that also tell it from the others.
        run: the rows of one task, the same for the same task and effort.
        findings: what the rows say, in sentences; the first one is the headline.
        fewest: seeds that can be compared at all.
        source: of what the thesis says.
    """

    name: str
    title: str
    question: str
    thesis: str
    method: Sequence[str]
    columns: tuple[str, ...]
    default: Effort
    quick: Effort
    tasks: Callable[[Effort], Sequence[Task]]
    run: Callable[[Task, Effort], list[Row]]
    findings: Callable[[Sequence[Row]], list[str]]
    fewest: int = 2
    source: str = SOURCE

    def effort(self, quick: bool = False, seeds: int | None = None) -> Effort:
        """The effort of that name, with another number of seeds where one is given.

        Raises:
            AuditError: fewer seeds than the study can compare; one alone has no spread.
        """
        chosen = self.quick if quick else self.default
        if seeds is not None and seeds < self.fewest:
            raise AuditError(
                f"study {self.name}: --seeds must be at least {self.fewest}, since networks are compared with each "
                f"other, got {seeds}"
            )
        return chosen if seeds is None else replace(chosen, seeds=seeds)


@dataclass(frozen=True)
class Results:
    """All rows of a study in the order of its tasks, and the seconds of one processor core that they took."""

    rows: list[Row]
    seconds: float


class Journal:
    """The finished tasks of a study, one JSON line each, so that an interrupted run goes on where it stopped.

    Lines of another effort or version stay in the file and count for nothing here; a last line that was cut off is
    removed.

    Raises:
        DataError: the file is something else.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(path, len(whole))
        try:
            entries = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
            known = [entry for entry in entries if entry["settings"] == self._settings]
            self.finished = {key(entry["task"]): entry for entry in known}
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not the journal of a study; remove it, or choose another folder") from None

    def add(self, task: Task, rows: Sequence[Row], seconds: float) -> None:
        """Keep a finished task, on the disk before this returns."""
        entry = {"settings": self._settings, "task": dict(task), "seconds": round(seconds, 2), "rows": list(rows)}
        self.finished[key(task)] = entry
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def key(task: Task) -> str:
    """A task as text: equal for equal tasks."""
    return json.dumps(dict(task), sort_keys=True)


def conduct(study: Study, effort: Effort, folder: Path, jobs: int = 1) -> Results:
    """Run what the journal `<folder>/<name>.jsonl` lacks of a study and write `<folder>/<name>.csv`.

    Each task is kept as soon as it has finished. After an interruption the table holds the tasks finished so far, and
    the next run with the same effort adds the others: the table is then that of an uninterrupted run.

    Args:
        jobs: processes of one thread each (joblib).

    Raises:
        AuditError: jobs is 0.
        DataError: the journal is something else.
        OSError: the folder cannot be written.
    """
    from joblib import Parallel, delayed

    if jobs == 0:
        raise AuditError("jobs must be 1 or more, or -1 for one per core, got 0")
    tasks = list(study.tasks(effort))
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"effort": asdict(effort), "version": __version__}
    journal = Journal(folder / f"{study.name}.jsonl", settings)
    missing = [task for task in tasks if key(task) not in journal.finished]
    running = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_timed)(study.run, task, effort) for task in missing
    )
    try:
        for task, rows, seconds in progress(running, study.title, total=len(missing)):
            journal.add(task, rows, seconds)
    finally:
        finished = [journal.finished[key(task)] for task in tasks if key(task) in journal.finished]
        results = Results([row for entry in finished for row in entry["rows"]], sum(e["seconds"] for e in finished))
        write_whole({folder / f"{study.name}.csv": table(results.rows, study.columns)})
    return results


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as CSV; what a row lacks stays empty.

    Example:
        >>> table([{"a": 1, "b": 0.5}, {"a": 2}], ("a", "b")).splitlines()
        ['a,b', '1,0.5', '2,']
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _timed(run: Callable[[Task, Effort], list[Row]], task: Task, effort: Effort) -> tuple[Task, list[Row], float]:
    """One task on one thread: the tiny steps of tiny networks get slower when threads share them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()  # other processes on the machine do not count
    try:
        return task, run(task, effort), time.process_time() - start
    finally:
        torch.set_num_threads(threads)
