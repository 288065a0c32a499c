"""How many parameters does a level of noise need, and what accuracy does it leave?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnaudit.models import minimum
from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import joined, quartiles, shown, spread
from cnnaudit.studies.thesis import TABLE_I, splits
from cnnaudit.training import train_stacked

LEVELS = (0, 5, 10, 20, 30, 40, 50)
DATASETS = {"3.0": "scaling", "4.0": "rotation"}
GOALS = (0.8, 0.9, 0.95)
#: The ladder: parameters -> arguments of `cnnaudit.models.minimum`.
LADDER: Mapping[int, Mapping[str, Any]] = {
    16: {"pool": 28},
    25: {"pool": 14},
    61: {"pool": 7},
    109: {"pool": 14, "hidden": 12},
    333: {"pool": 7, "hidden": 16},
    1131: {"filters": 4, "pool": 7, "hidden": 16},
}


def tasks(effort: Effort) -> list[Task]:
    """One rung of the ladder at one level of noise each, those that take longest first."""
    return [
        {"dataset": dataset, "noise": noise, "parameters": parameters}
        for parameters in reversed(LADDER)
        for dataset in DATASETS
        for noise in LEVELS
    ]


def run(task: Task, effort: Effort) -> list[Row]:
    """Train the networks of one rung at one level of noise; a row for each."""
    train, validation = splits(task["dataset"], effort, noise=task["noise"])
    found = train_stacked(
        partial(minimum, **LADDER[task["parameters"]]),
        train,
        validation=validation,
        seeds=effort.seeds,
        epochs=effort.epochs,
    )
    assert found.validation_accuracy is not None and found.parameters == task["parameters"]
    return [
        {
            **task,
            "swapped": round(swapped(task["noise"]), 4),
            "seed": k,
            "train_accuracy": round(float(found.train_accuracy[k]), 6),
            "validation_accuracy": round(float(found.validation_accuracy[k]), 6),
            "outcome": found.outcome[k],
        }
        for k in range(len(found))
    ]


def swapped(noise: float) -> float:
    """The share of canvas pixels with the wrong color at a level of noise, where repeated swaps cancel.

    A pixel is drawn k times, k ~ Poisson(noise / 100), and ends up swapped where k is odd, with probability
    (1 - exp(-2 noise / 100)) / 2.

    Example:
        >>> round(swapped(20), 3), round(swapped(50), 3)
        (0.165, 0.316)
    """
    return float((1 - np.exp(-2 * noise / 100)) / 2)


def of_rung(rows: Sequence[Row], dataset: str, noise: float, parameters: int) -> list[Row]:
    """The networks of one rung at one level of noise."""
    wanted = (dataset, noise, parameters)
    return [row for row in rows if (row["dataset"], row["noise"], row["parameters"]) == wanted]


def accuracies(rows: Sequence[Row]) -> list[float]:
    """Validation accuracies."""
    return [float(row["validation_accuracy"]) for row in rows]


def best(rows: Sequence[Row]) -> float:
    """The validation accuracy of the network that is best on the training images."""
    return float(max(rows, key=lambda row: row["train_accuracy"])["validation_accuracy"])


def needed(rows: Sequence[Row], dataset: str, noise: float, goal: float, chosen: bool) -> float:
    """The parameters of the first rung that reaches an accuracy on the validation images; infinite if none does.

    Args:
        chosen: by the best network on the training images, as the thesis chooses; else by half of the networks.
    """
    for parameters in LADDER:
        found = of_rung(rows, dataset, noise, parameters)
        if found and (best(found) if chosen else float(np.median(accuracies(found)))) >= goal:
            return float(parameters)
    return float("inf")


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, per data set."""
    sentences = _headline(rows)
    for dataset, shows in DATASETS.items():
        levels = complete(rows, dataset)
        if not levels:
            continue
        sentences += [_at(rows, dataset, level) for level in (20, 30, 50) if level in levels]
        for goal in GOALS:
            half, one = ([needed(rows, dataset, level, goal, way) for level in levels] for way in (False, True))
            sentences.append(
                f"{shows.capitalize()}: for {goal:g} half of the networks need {_by_level(levels, half)}; the best by "
                f"training accuracy needs {_by_level(levels, one)}."
            )
    sentences += [_table_i(rows, dataset) for dataset in DATASETS if of_rung(rows, dataset, 20, _thesis(dataset))]
    return sentences


def complete(rows: Sequence[Row], dataset: str) -> list[int]:
    """The levels of noise at which every rung has been trained."""
    return [level for level in LEVELS if all(of_rung(rows, dataset, level, size) for size in LADDER)]


def _headline(rows: Sequence[Row]) -> list[str]:
    """The parameters that half of the networks need for .9, without noise and at the thesis's level."""
    parts = []
    for dataset, shows in DATASETS.items():
        levels = complete(rows, dataset)
        if {0, 20, 50} <= set(levels):
            sizes = [needed(rows, dataset, level, GOALS[1], chosen=False) for level in (0, 20, 50)]
            parts.append(f"{shows} {_by_level((0, 20, 50), sizes, ' and ')}")
    return [f"Parameters with which half of the networks reach {GOALS[1]:g}: {'; '.join(parts)}."] if parts else []


def _at(rows: Sequence[Row], dataset: str, level: int) -> str:
    """The ladder at one level of noise."""
    reach = [
        f"{size:,} parameters reach {spread(accuracies(of_rung(rows, dataset, level, size)), 2)}" for size in LADDER
    ]
    pixels = f"{100 * swapped(level):.1f} % of the pixels"
    return f"{DATASETS[dataset].capitalize()} at noise {level} ({pixels}): {joined(reach)}."


def _by_level(levels: Sequence[int], sizes: Sequence[float], to: str = " to ") -> str:
    """Parameters by level of noise, equal neighbors joined."""
    parts: list[tuple[list[int], float]] = []
    for level, size in zip(levels, sizes):
        if parts and parts[-1][1] == size:
            parts[-1][0].append(level)
        else:
            parts.append(([level], size))
    words = {size: f"{size:,.0f}" if np.isfinite(size) else f"more than {max(LADDER):,}" for _, size in parts}
    return ", ".join(
        f"{words[size]} at noise {group[0]}" + (f"{to}{group[-1]}" if len(group) > 1 else "") for group, size in parts
    )


def _thesis(dataset: str) -> int:
    return TABLE_I[dataset].parameters


def _table_i(rows: Sequence[Row], dataset: str) -> str:
    """The thesis's own network beside ours."""
    found = of_rung(rows, dataset, 20, _thesis(dataset))
    low, middle, high = (shown(value) for value in quartiles(accuracies(found)))
    return (
        f"The thesis's model for {DATASETS[dataset]} at noise 20 has {_thesis(dataset)} parameters and a validation "
        f"accuracy of {TABLE_I[dataset].validation_accuracy:.3f}, from 5 seeds; here the best by training accuracy of "
        f"{len(found)} reaches {best(found):.3f}, the median {middle} (quartiles {low} to {high})."
    )


NOISE = Study(
    name="noise",
    title="Noise against parameters and accuracy",
    question="How many parameters does a level of noise need, and what accuracy does it leave?",
    thesis="The thesis analyzes level 20 only (3.0: 109 parameters, .930; 4.0: 333 parameters, .988) and proposes to "
    "study what other levels do to the parameters needed and to the accuracy.",
    method=(
        "Six architectures, from 16 to 1,131 parameters, are trained at seven levels of noise on figures that are "
        "scaled (data set 3.0) or turned (4.0), half of them white on black.",
        "The level is the thesis's: swaps in percent of the canvas's 10,000 pixels. As in our reading of its data "
        "sets, a pixel drawn twice is back at its color: level 20 leaves 16.5 % of them swapped, level 50 31.6 %.",
        "Bands show the quartiles over networks from different first weights. The parameters needed are those of the "
        "first rung of this ladder that reaches the accuracy: other architectures may do it with fewer.",
    ),
    columns=("dataset", "noise", "swapped", "parameters", "seed", "train_accuracy", "validation_accuracy", "outcome"),
    default=Effort(seeds=8, epochs=50, train=1000, validation=1000),
    quick=Effort(seeds=4, epochs=12, train=300, validation=300),
    tasks=tasks,
    run=run,
    findings=findings,
)
