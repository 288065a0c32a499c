"""Do filters drawn by hand do what learned ones do, and is training faster from them?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from cnnaudit.core.statistics import bootstrap_interval, generator, proportion_interval
from cnnaudit.models import classic_filters, minimum
from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import joined, of_kind, quartiles, shown, spread
from cnnaudit.studies.thesis import TABLE_I, splits
from cnnaudit.training import train_stacked

ARMS = {
    "learned": "learned from random weights",
    "initialized": "learned from a classic filter",
    "frozen": "a classic filter, frozen",
    "random": "a random filter, frozen",
    "replicate": "a classic filter, frozen, edge repeated",
}
CONTROLS = 8  # networks without a classic filter, per seed
SHARE = 0.95  # of the thesis's training accuracy: the accuracy whose epoch is asked for


def tasks(effort: Effort) -> list[Task]:
    """One kind of start on one data set each, those that take longest first."""
    order = ("initialized", "frozen", "replicate", "learned", "random")
    return [{"dataset": dataset, "arm": arm} for dataset in reversed(TABLE_I) for arm in order]


def starts(arm: str, seeds: int) -> tuple[list[int], list[str], np.ndarray | None]:
    """Seed and filter's name of each network, and the filters (M, 1, 1, 3, 3); None: the seed draws them.

    Classic filters have norm 1, which is what Glorot's distribution gives a 3 x 3 filter on average; each is used as it
    is and negated.
    """
    if arm in ("learned", "random"):
        return list(range(CONTROLS * seeds)), [arm] * (CONTROLS * seeds), None
    classic = classic_filters()
    signed = {**classic, **{f"-{name}": -values for name, values in classic.items()}}
    names = [name for name in signed for _ in range(seeds)]
    return list(range(seeds)) * len(signed), names, np.stack([signed[name] for name in names])[:, None, None]


def run(task: Task, effort: Effort) -> list[Row]:
    """Train the networks of one arm as one stack.

    Returns:
        Rows by `kind`: `network` (one each) and `curve` (quartiles of the accuracy over the networks, per epoch).
    """
    dataset, arm = task["dataset"], task["arm"]
    train, validation = splits(dataset, effort)
    seeds, names, filters = starts(arm, effort.seeds)
    found = train_stacked(
        partial(minimum, **TABLE_I[dataset].arguments, padding_mode="replicate" if arm == "replicate" else "zeros"),
        train,
        validation=validation,
        seeds=seeds,
        epochs=effort.epochs,
        frozen=("conv.weight",) if arm in ("frozen", "random", "replicate") else (),
        initial={} if filters is None else {"conv.weight": filters.astype(np.float32)},
    )
    assert found.validation_accuracy is not None
    rows: list[Row] = [
        {
            **task,
            "kind": "network",
            "filter": names[k],
            "seed": seeds[k],
            "train_accuracy": round(float(found.train_accuracy[k]), 6),
            "validation_accuracy": round(float(found.validation_accuracy[k]), 6),
            "epochs_to_target": first_epoch(found.history[k], target_of(dataset)),
            "outcome": found.outcome[k],
        }
        for k in range(len(found))
    ]
    # a network that has left the stack, since it does not change any more, keeps its accuracy
    history = np.where(np.isnan(found.history), found.train_accuracy[:, None], found.history)
    for epoch in epochs_shown(effort.epochs):
        low, middle, high = (round(value, 6) for value in quartiles(history[:, epoch - 1].tolist()))
        rows.append({**task, "kind": "curve", "epoch": epoch, "low": low, "median": middle, "high": high})
    return rows


def target_of(dataset: str) -> float:
    """The training accuracy whose epoch is asked for: 95 % of the thesis's."""
    return round(SHARE * TABLE_I[dataset].train_accuracy, 3)


def first_epoch(history: np.ndarray, target: float) -> int | None:
    """The first epoch (from 1 on) with that accuracy, None if there is none.

    Example:
        >>> first_epoch(np.array([0.3, 0.8, 0.9]), 0.8), first_epoch(np.array([0.3, np.nan]), 0.8)
        (2, None)
    """
    reached = np.nonzero(history >= target)[0]
    return int(reached[0]) + 1 if len(reached) else None


def epochs_shown(epochs: int) -> list[int]:
    """At most 40 epochs, denser at the beginning.

    Example:
        >>> epochs_shown(5)
        [1, 2, 3, 4, 5]
    """
    return sorted({int(epoch) for epoch in np.geomspace(1, epochs, 60).round()})


def faster(some: Sequence[float], others: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The share of pairs in which the first is the smaller one (ties count half), with a 95 % bootstrap interval.

    Infinite values (never reached) are allowed. Source: R. Grissom and J. Kim, Effect Sizes for Research, 2005.

    Example:
        >>> faster([1.0, 2.0], [3.0, float("inf")])[0]
        1.0
    """
    values = np.array([*((0, value) for value in some), *((1, value) for value in others)])

    def share(rows: np.ndarray) -> float:
        a, b = rows[rows[:, 0] == 0, 1], rows[rows[:, 0] == 1, 1]
        if not len(a) or not len(b):
            return float("nan")
        return float((a[:, None] < b).mean() + (a[:, None] == b).mean() / 2)

    rng = generator("studies.classic_filters", "faster")
    return share(values), bootstrap_interval(values, share, rng=rng, bounds=(0.0, 1.0))


def of_arm(rows: Sequence[Row], dataset: str, arm: str, name: str = "") -> list[Row]:
    """The networks of an arm, or those with one filter (as it is and negated)."""
    found = [row for row in of_kind(rows, "network") if row["dataset"] == dataset and row["arm"] == arm]
    return [row for row in found if not name or row["filter"].removeprefix("-") == name]


def epochs_of(rows: Sequence[Row]) -> list[float]:
    """Epochs to the target, infinite where it was never reached."""
    return [float("inf") if row["epochs_to_target"] is None else float(row["epochs_to_target"]) for row in rows]


def accuracies(rows: Sequence[Row], split: str = "validation") -> list[float]:
    """The accuracies of networks."""
    return [float(row[f"{split}_accuracy"]) for row in rows]


def names_of(rows: Sequence[Row], dataset: str) -> list[str]:
    """The classic filters, without their signs."""
    return list(dict.fromkeys(row["filter"].removeprefix("-") for row in of_arm(rows, dataset, "frozen")))


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, a few sentences per data set that is complete."""
    sentences = _headline(rows)
    for dataset in TABLE_I:
        if all(of_arm(rows, dataset, arm) for arm in ARMS):
            sentences += [_reach(rows, dataset), _speed(rows, dataset)]
    return sentences


def _headline(rows: Sequence[Row]) -> list[str]:
    """On how many data sets a frozen classic filter does what a learned one does."""
    complete = [dataset for dataset in TABLE_I if all(of_arm(rows, dataset, arm) for arm in ARMS)]
    if not complete:
        return []
    zeros, repeated = (
        _sets([dataset for dataset in complete if as_good(rows, dataset, arm)], complete)
        for arm in ("frozen", "replicate")
    )
    intervals = {dataset: sooner(rows, dataset)[1] for dataset in complete}
    return [
        f"Some frozen classic filter does as well as the median learned one on {zeros}; with the image's edge repeated "
        f"in place of zero padding, on {repeated}. Training from a classic filter is sooner at the accuracy on "
        f"{_sets([dataset for dataset in complete if intervals[dataset][0] > 0.5], complete)}, later on "
        f"{_sets([dataset for dataset in complete if intervals[dataset][1] < 0.5], complete)}."
    ]


def sooner(rows: Sequence[Row], dataset: str) -> tuple[float, tuple[float, float]]:
    """In what share of pairs training from a classic filter reaches the target sooner than from random weights."""
    return faster(*(epochs_of(of_arm(rows, dataset, arm)) for arm in ("initialized", "learned")))


def _sets(some: Sequence[str], among: Sequence[str]) -> str:
    return f"{len(some)} of {len(among)} data sets" + (f" ({', '.join(some)})" if some else "")


def as_good(rows: Sequence[Row], dataset: str, arm: str = "frozen") -> list[str]:
    """The classic filters whose frozen networks have a median accuracy no lower than that of learned filters."""
    middle = float(np.median(accuracies(of_arm(rows, dataset, "learned"))))
    found = {name: accuracies(of_arm(rows, dataset, arm, name)) for name in names_of(rows, dataset)}
    return [name for name, values in found.items() if float(np.median(values)) >= middle]


def _reach(rows: Sequence[Row], dataset: str) -> str:
    """Does the classifier reach the accuracy on a frozen classic filter?"""
    learned, random = (accuracies(of_arm(rows, dataset, arm)) for arm in ("learned", "random"))
    return (
        f"Data set {dataset} ({TABLE_I[dataset].shows}; thesis {TABLE_I[dataset].validation_accuracy:.3f}): learned "
        f"filters reach a validation accuracy of {spread(learned)}, frozen random ones {spread(random)}. "
        f"{_frozen(rows, dataset, 'frozen', 'Frozen classic filters')} "
        f"{_frozen(rows, dataset, 'replicate', 'With the edge of the image repeated')}"
    )


def _frozen(rows: Sequence[Row], dataset: str, arm: str, words: str) -> str:
    """The frozen classic filters with one padding: all of them, the best one, those as good as learned ones."""
    found = of_arm(rows, dataset, arm)
    names, good = names_of(rows, dataset), as_good(rows, dataset, arm)
    trained = {name: accuracies(of_arm(rows, dataset, arm, name), "train") for name in names}
    best = max(names, key=lambda name: float(np.median(trained[name])))
    dead = sum(row["outcome"] == "dead" for row in found)
    return (
        f"{words}: {spread(accuracies(found))}, {dead} of {len(found)} networks answer every image alike; the best "
        f"filter by training accuracy, {best}, {spread(accuracies(of_arm(rows, dataset, arm, best)))}; "
        f"{len(good)} of {len(names)} filters have a median no lower than learned ones"
        + (f" ({', '.join(good)})." if good else ".")
    )


def _speed(rows: Sequence[Row], dataset: str) -> str:
    """How soon training reaches the target."""
    parts = []
    for arm in ("learned", "initialized"):
        found = epochs_of(of_arm(rows, dataset, arm))
        in_time = [epoch for epoch in found if np.isfinite(epoch)]
        low, high = proportion_interval(len(in_time), len(found))
        median = f", half of those within {shown(float(np.median(in_time)), 0)} epochs" if in_time else ""
        parts.append(f"{len(in_time)} of {len(found)} networks {ARMS[arm]} ({low:.2f} to {high:.2f}){median}")
    share, (low, high) = sooner(rows, dataset)
    verdict = "sooner" if low > 0.5 else "later" if high < 0.5 else "neither sooner nor later, as far as these tell,"
    return (
        f"A training accuracy of {target_of(dataset):.3f} is reached by {joined(parts)}. From a classic filter "
        f"training gets there {verdict} than from random weights (sooner in {share:.2f} of pairs, {low:.2f} to "
        f"{high:.2f})."
    )


CLASSIC_FILTERS = Study(
    name="classic-filters",
    title="Classic filters in place of learned ones",
    question="Does a classifier on a frozen classic filter reach the accuracy, and is training faster from one?",
    thesis="The thesis proposes to put classic filters into a network without training them, and to start training "
    "from them so that it takes less time; it does not try.",
    method=(
        "The minimum model of each data set of the thesis is trained in five ways: from random (Glorot) weights; with "
        "its filter starting from a classic one; with a classic filter that stays as it is; with a random filter that "
        "stays as it is; with a frozen classic filter and the image's edge repeated in place of the thesis's zero "
        "padding. The filter's bias and the classifier are always trained.",
        "The 12 classic 3 x 3 filters are Sobel, Prewitt and Scharr in two directions, two diagonals, two Laplacians "
        "and two blurs, all of norm 1, each as it is and negated.",
        "Every network trains on the same images in the same order; networks of an arm differ in filter and first "
        "weights. Speed is the first epoch whose training accuracy is 95 % of the thesis's. Bands and bars show the "
        "quartiles over networks; shares have exact binomial 95 % intervals.",
    ),
    columns=(
        "dataset",
        "arm",
        "kind",
        "filter",
        "seed",
        "train_accuracy",
        "validation_accuracy",
        "epochs_to_target",
        "outcome",
        "epoch",
        "low",
        "median",
        "high",
    ),
    default=Effort(seeds=4, epochs=100, train=1000, validation=2000),
    quick=Effort(seeds=2, epochs=20, train=300, validation=500),
    tasks=tasks,
    run=run,
    findings=findings,
)
