"""Search the smallest network that reaches an accuracy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnaudit.training._grid import Architecture
from cnnaudit.training.arrays import as_arrays, check, fingerprint, majority
from cnnaudit.training.executor import Draws, Work
from cnnaudit.training.results import Results
from cnnaudit.training.successive_halving import Hunt
from cnnaudit.training.summary import SearchResult, summarize


def search(
    grid: Sequence[Architecture],
    data: tuple[Any, Any],
    *,
    validation: tuple[Any, Any],
    target_accuracy: float,
    seeds: int = 5,
    epochs: int = 200,
    batch_size: int = 32,
    results: Path | str | None = None,
    budget_seconds: float | None = None,
    jobs: int | None = None,
    tries: int = 4,
    draws: Draws | None = None,
    size: int | None = None,
) -> SearchResult:
    """The smallest network of a grid that reaches an accuracy, as a bound with its confidence.

    *Screening*, by training accuracy only: an architecture reaches the goal when the best of its seeds does. A few
    architectures spread over the grid give a first upper bound; then all smaller ones are trained for a 16th of the
    epochs, the best quarter of those that did not reach the goal for a quarter, the best quarter of these for all
    (successive halving by four; whatever is larger than one that reached is left out). *Confirmation*: the smallest
    that reached is trained from fresh seeds, `tries` times `seeds` of them, each time with another order of the images
    (and other data, with `draws`). Each time the best by training accuracy is chosen; the candidate is confirmed if at
    least half of the chosen reach the target on the validation images. If not, the goal is raised by the gap between
    training and validation, and the search goes on. So validation accuracy decides nothing but yes or no about few
    candidates, and what is reported of the winner was trained after it was chosen.

    The tasks are independent and run through `joblib.Parallel`: on one machine by `jobs`, on a cluster by
    `joblib.parallel_config(backend="dask")` or `("ray")` around the call. The result does not depend on it.

    Args:
        grid: architectures, as made by `cnnaudit.training.grid`; their `size`, `channels` and `classes` fit the images.
        data, validation: images, float in [0, 1] or uint8, (N, C, H, W), and labels (N,) in 0..K-1.
        target_accuracy: on the validation images, in (0, 1].
        seeds: networks of each architecture.
        epochs: that the last rung and the confirmation give.
        results: a CSV file to which every trained network is written; what it holds already is not trained again. So a
            search that was interrupted goes on, and ends with the same result.
        budget_seconds: no task is started after that time; the result says what is known and what is missing.
        jobs: processes of one thread each; None: what `joblib.parallel_config` says, else 1.
        tries: groups of fresh seeds.
        draws: the k-th further draw of data and validation, k = 1, 2, ...: one for each try.
        size: side to which images are resized; None: images of at most 32 pixels stay as they are.

    Raises:
        DataError: no images, one class only, labels below 0, or a target that the labels do not allow.

    Source: I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, Table I (grid of
    architectures, five seeds); K. Jamieson and A. Talwalkar, Non-stochastic best arm identification, 2016 (successive
    halving).

    Example:
        >>> from cnnaudit.data import reference
        >>> from cnnaudit.training import grid, search
        >>> train, validation = (reference("1.3", split, n_per_class=40) for split in ("train", "validation"))
        >>> found = search(grid(kernel=(2, 3)), (train.images, train.labels), epochs=60, target_accuracy=0.6,
        ...                validation=(validation.images, validation.labels))
        >>> found.smallest.parameters <= 16, len(found.smallest.rows)
        (True, 20)
    """
    from joblib import Parallel

    start = time.monotonic()
    arrays, questions = (as_arrays(part, size, name) for part, name in ((data, "training"), (validation, "validation")))
    ceiling = check(arrays, questions, grid, target_accuracy)
    stop = target_accuracy + 0.75 * (1 - target_accuracy)  # beyond, training tells nothing about this target
    name = fingerprint(arrays, questions, stop, batch_size)
    deadline = None if budget_seconds is None else start + budget_seconds
    networks = sorted(grid, key=lambda network: network.parameters)
    kept = Results(None if results is None else Path(results), name)
    with Parallel(n_jobs=jobs) as parallel:
        work = Work(parallel, kept, arrays, questions, stop, batch_size, deadline, draws, size)
        hunt = Hunt(work, networks, target_accuracy, seeds, epochs, tries)
        smallest = hunt.run()
    return SearchResult(
        target_accuracy=target_accuracy,
        smallest=smallest,
        summaries=summarize([row for row in work.rows if row.purpose == "screen"], target_accuracy),
        confirmations=tuple(hunt.confirmations),
        complete=not work.late,
        learnable=hunt.learnable,
        ceiling=ceiling,
        majority=majority(questions[1]),
        images=(len(arrays[1]), len(questions[1])),
        architectures=len(grid),
        missing=work.missing,
        seconds=time.monotonic() - start,
    )
