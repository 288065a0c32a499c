"""How similar are the filters that are learned on slightly different data?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnaudit.core.statistics import bootstrap_interval, generator
from cnnaudit.data._shapes import REFERENCES
from cnnaudit.models import minimum
from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import joined, of_kind
from cnnaudit.studies.thesis import TABLE_I, splits
from cnnaudit.training import train_stacked

RANDOM = 200  # random filters of the null
FEWEST = 3  # networks that have learned, of which pairs are compared
CHANGES = {
    "none": "the same data",
    "other order": "the same images in another order",
    "other draw": "another draw of the same data",
    "other radius": "figures of other radius",
    "other noise": "another level of noise",
    "other figure": "other figures",
}
_SCALING: Mapping[str, Mapping[str, Any]] = {
    "other radius": {"radius": (0.4, 0.8)},
    "other figure": {"square": "side"},
}
_ROTATION: Mapping[str, Mapping[str, Any]] = {
    "other radius": {"radius": 0.8},
    "other figure": {"transformation": "scaling", "radius": 0.7},
}


def changed(dataset: str, change: str) -> Mapping[str, Any]:
    """The arguments of `cnnaudit.data.reference` that make the data set a slightly different one.

    | change | scaling (1.3, 3.0) | rotation (2.1, 4.0) |
    |---|---|---|
    | other draw | another seed | another seed |
    | other radius | .4 to .8, not .3 to .9 | .8, not .7 |
    | other noise | 5, not 0; 15, not 20 | 5, not 0; 15, not 20 |
    | other figure | the square on its side, not on a vertex | upright figures, not turned ones |
    """
    base = REFERENCES[dataset]
    if change in ("none", "other order"):
        return {}
    if change == "other draw":
        return {"seed": 1}
    if change == "other noise":
        return {"noise": 15 if base["noise"] else 5}
    return (_SCALING if base["transformation"] == "scaling" else _ROTATION)[change]


def tasks(effort: Effort) -> list[Task]:
    """One data set each, those that take longest first; then the random filters."""
    trained = [{"dataset": dataset, "change": change} for dataset in reversed(TABLE_I) for change in CHANGES]
    return [*trained, {"dataset": "random", "change": "random"}]


def run(task: Task, effort: Effort) -> list[Row]:
    """Train networks on one data set and give the filter of each, row by row from its upper left; or random filters."""
    if task["dataset"] == "random":
        filters = random_filters(RANDOM)
        return [{**task, "kind": "random", "seed": seed, **_weights(filters[seed])} for seed in range(RANDOM)]
    dataset, change = task["dataset"], task["change"]
    train, validation = splits(dataset, effort, **changed(dataset, change))
    found = train_stacked(
        partial(minimum, **TABLE_I[dataset].arguments),
        train,
        validation=validation,
        seeds=effort.seeds,
        epochs=effort.epochs,
        order_seed=1 if change == "other order" else 0,
    )
    assert found.validation_accuracy is not None
    filters = found.states["conv.weight"].numpy()[:, 0, 0]
    return [
        {
            **task,
            "kind": found.outcome[k],
            "seed": k,
            "validation_accuracy": round(float(found.validation_accuracy[k]), 6),
            **_weights(filters[k]),
        }
        for k in range(len(found))
    ]


def random_filters(n: int) -> np.ndarray:
    """Filters (n, 3, 3) as training starts from: Glorot's uniform distribution."""
    bound = np.sqrt(6 / (9 + 9))
    return np.asarray(generator("studies.filter_similarity", "random").uniform(-bound, bound, (n, 3, 3)))


def _weights(values: np.ndarray) -> dict[str, float]:
    """A filter as columns."""
    return {f"w{k}": float(f"{value:.6g}") for k, value in enumerate(values.ravel())}


def similarity(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Likeness of filters up to sign, rotation by quarter turns and reflection: (n, m), 1 for the same pattern.

    The largest |cosine| over the 8 symmetries of the square, after each filter's mean is removed; 0 where a filter is
    constant.

    Args:
        some, others: filters (n, k, k) and (m, k, k).

    Example:
        >>> edge = np.array([[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]])
        >>> similarity(edge, -np.rot90(edge, axes=(1, 2))).round(6).tolist()
        [[1.0]]
    """
    turned = [np.rot90(part, turns, (1, 2)) for part in (others, others[:, ::-1]) for turns in range(4)]
    first = _unit(some)
    return np.asarray(np.max([np.abs(first @ _unit(each).T) for each in turned], axis=0))


def _unit(filters: np.ndarray) -> np.ndarray:
    """The filters as rows of mean 0 and norm 1, zeros where a filter is constant."""
    rows = filters.reshape(len(filters), -1)
    rows = rows - rows.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-12))


def mean_of_pairs(matrix: np.ndarray, same: bool = False) -> tuple[float, tuple[float, float]]:
    """The mean similarity of pairs with a 95 % interval, bootstrapped over networks.

    Args:
        matrix: (n, n), of network i here and network j there; i = j are those of the same first weights.
        same: of the pairs i = j; else of all others.
    """

    def mean(chosen: np.ndarray) -> float:
        if same:
            return float(matrix[chosen, chosen].mean())
        apart = chosen[:, None] != chosen
        return float(matrix[np.ix_(chosen, chosen)][apart].mean()) if apart.any() else float("nan")

    positions = np.arange(len(matrix))
    rng = generator("studies.filter_similarity", len(matrix), same)
    return mean(positions), bootstrap_interval(positions, mean, rng=rng, bounds=(0.0, 1.0))


def filters_of(rows: Sequence[Row], dataset: str, change: str) -> dict[int, np.ndarray]:
    """The filters (3, 3) of the networks that have not died, by seed."""
    return {
        int(row["seed"]): np.array([float(row[f"w{k}"]) for k in range(9)]).reshape(3, 3)
        for row in rows
        if row["dataset"] == dataset and row["change"] == change and row["kind"] in ("trained", "random")
    }


def compared(rows: Sequence[Row], dataset: str, change: str) -> np.ndarray:
    """Similarities (n, n) between the filters learned on the data set and on the changed one, of common seeds."""
    base, other = filters_of(rows, dataset, "none"), filters_of(rows, dataset, change)
    seeds = sorted(base.keys() & other.keys())
    if len(seeds) < FEWEST:
        return np.zeros((0, 0))
    return similarity(np.stack([base[seed] for seed in seeds]), np.stack([other[seed] for seed in seeds]))


def null(rows: Sequence[Row]) -> np.ndarray:
    """Similarities of pairs of random filters, no filter in two pairs."""
    filters = np.stack(list(filters_of(rows, "random", "random").values()))
    return np.diag(similarity(filters[::2], filters[1::2]))


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, per data set."""
    if not of_kind(rows, "random"):
        return []
    chance = null(rows)
    sentences = [
        *_headline(rows, chance),
        f"Two random filters have a similarity of {np.mean(chance):.2f} on average (quartiles "
        f"{np.quantile(chance, 0.25):.2f} to {np.quantile(chance, 0.75):.2f}), since the best of 8 positions and 2 "
        "signs counts: values near that say nothing.",
    ]
    for dataset, model in TABLE_I.items():
        between = compared(rows, dataset, "none")
        if not len(between):
            continue
        mean, interval = mean_of_pairs(between)
        changes = {
            change: matrix for change in CHANGES if change != "none" and len(matrix := compared(rows, dataset, change))
        }
        same = [f"{CHANGES[name]} {_with(*mean_of_pairs(matrix, same=True))}" for name, matrix in changes.items()]
        other = {name: mean_of_pairs(matrix) for name, matrix in changes.items()}
        sentences.append(
            f"Data set {dataset} ({model.shows}): filters learned on the same data from different first weights have a "
            f"similarity of {_with(mean, interval)}, {_against(interval, float(np.mean(chance)))}. From the same first "
            f"weights, changed data give: {'; '.join(same)}. {_others(other, interval)}"
        )
    return sentences


def _headline(rows: Sequence[Row], chance: np.ndarray) -> list[str]:
    """First weights against data, over all data sets."""
    draws = {dataset: compared(rows, dataset, "other draw") for dataset in TABLE_I}
    complete = {dataset: matrix for dataset, matrix in draws.items() if len(matrix)}
    if not complete:
        return [
            f"Nothing can be compared: of no data set have {FEWEST} networks learned. Give more --seeds, or leave out "
            "--quick."
        ]
    same = [mean_of_pairs(matrix, same=True)[0] for matrix in complete.values()]
    other = [mean_of_pairs(compared(rows, dataset, "none"))[0] for dataset in complete]
    return [
        f"From the same first weights, another draw of the data gives filters with a similarity of {min(same):.2f} to "
        f"{max(same):.2f} by data set; other first weights on the same data give {min(other):.2f} to {max(other):.2f}, "
        f"random filters {np.mean(chance):.2f}."
    ]


def _others(found: Mapping[str, tuple[float, tuple[float, float]]], between: tuple[float, float]) -> str:
    """Other first weights on changed data, against other first weights on the same data."""
    apart = [name for name, (_, (low, high)) in found.items() if high < between[0] or low > between[1]]
    means = [mean for mean, _ in found.values()]
    if not means:
        return ""
    verdict = (
        f"apart from the interval of the same data: {joined([CHANGES[name] for name in apart])}"
        if apart
        else "no interval lies apart from that of the same data"
    )
    return f"From other first weights, changed data give {min(means):.2f} to {max(means):.2f}; {verdict}."


def _with(mean: float, interval: tuple[float, float]) -> str:
    return f"{mean:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def _against(interval: tuple[float, float], chance: float) -> str:
    """Above, below, or not told apart from random filters."""
    if interval[0] > chance:
        return "more than random filters"
    return "less than random filters" if interval[1] < chance else "not told apart from random filters"


FILTER_SIMILARITY = Study(
    name="filter-similarity",
    title="Filters learned on slightly different data",
    question="Does a network learn a similar filter when its data are slightly different?",
    thesis="The thesis proposes to look whether slightly different data lead to similar filters; it does not try.",
    method=(
        "The minimum model of each data set is trained from several first weights on the data, and from the same first "
        "weights on data changed in one way: the order of the images, the draw, the radius, the noise, the figures "
        "(scaling: radius .4 to .8, the square on its side; rotation: radius .8, upright figures; noise 5 in place of "
        "0 and 15 in place of 20).",
        "Similarity is the largest absolute cosine over quarter turns, reflections and signs, after each filter's mean "
        "is removed: 1 is the same pattern. Random filters show what chance gives.",
        "Three comparisons: other first weights on the same data; the same first weights on changed data; other first "
        "weights on changed data. Means have 95 % bootstrap intervals over networks; networks that died are left out.",
    ),
    columns=("dataset", "change", "kind", "seed", "validation_accuracy", *(f"w{k}" for k in range(9))),
    default=Effort(seeds=16, epochs=100, train=1000, validation=1000),
    quick=Effort(seeds=6, epochs=25, train=300, validation=300),
    tasks=tasks,
    run=run,
    findings=findings,
    fewest=FEWEST,
)
