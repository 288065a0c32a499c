"""Which parameters of a minimum model can go at no loss?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnaudit.models import minimum
from cnnaudit.studies.prune import Network, Step, compress, prune
from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import joined, median_with_interval, of_kind, spread
from cnnaudit.studies.thesis import TABLE_I, Split, splits
from cnnaudit.training import train_stacked

ROLES = {
    "conv.weight": "filter weights",
    "conv.bias": "filter bias",
    "hidden.weight": "hidden weights",
    "hidden.bias": "hidden biases",
    "output.weight": "output weights",
    "output.bias": "output biases",
}
ROUNDING = 1e-9  # of accuracies
BLOCK = 3  # networks of a task: they train as one stack, and are pruned one by one


def tasks(effort: Effort) -> list[Task]:
    """A few networks of one data set each, those that take longest first."""
    return [
        {"dataset": dataset, "first": first, "last": min(first + BLOCK, effort.seeds) - 1}
        for dataset in reversed(TABLE_I)
        for first in range(0, effort.seeds, BLOCK)
    ]


def run(task: Task, effort: Effort) -> list[Row]:
    """Train minimum models, set each parameter alone to zero, prune them, prune them with training between.

    Returns:
        Rows by `kind`: `whole`, `alone` (a parameter each), `greedy` (a parameter each, with what is left after its
        step), `tuned` (a round each); of a network that has died, one row `dead`.
    """
    dataset, seeds = task["dataset"], range(task["first"], task["last"] + 1)
    train, validation = splits(dataset, effort)
    trained = train_stacked(partial(minimum, **TABLE_I[dataset].arguments), train, seeds=seeds, epochs=effort.epochs)
    rows: list[Row] = []
    for k, seed in enumerate(seeds):
        network = {"dataset": dataset, "seed": seed}
        if trained.outcome[k] == "trained":
            rows += [network | row for row in _pruned(trained.model(k), train, validation, effort, seed)]
        else:
            rows.append(network | {"kind": trained.outcome[k]})
    return rows


def _pruned(model: Any, train: Split, validation: Split, effort: Effort, seed: int) -> list[dict[str, Any]]:
    """The rows of one network."""
    state = {name: value.detach() for name, value in model.named_parameters()}
    judged = Network(model, state, validation)
    steps = list(prune(model, train))
    smaller = compress(model, steps, train, max(2, effort.epochs // 5), seed)
    return [
        _row("whole", steps[0], judged),
        *_alone(Network(model, state, train), judged),
        *_greedy(steps, judged),
        *(_row("tuned", step, judged) for step in smaller),
    ]


def _row(kind: str, step: Step, judged: Network) -> dict[str, Any]:
    """What is left, and both accuracies."""
    validation = Network(judged.model, step.state, judged.data).accuracy
    return {
        "kind": kind,
        "remaining": step.remaining,
        "train_accuracy": round(step.accuracy, 6),
        "validation_accuracy": round(validation, 6),
    }


def _alone(network: Network, judged: Network) -> Iterator[dict[str, Any]]:
    """Both accuracies without each single parameter."""
    places = [(name, k) for name, value in network.state.items() for k in range(value.numel())]
    train, validation = network.accuracies_without(places), judged.accuracies_without(places)
    for name, k in places:
        yield {
            "kind": "alone",
            "parameter": _written(name, k, network.state[name].shape),
            "role": ROLES[name],
            "remaining": len(places) - 1,
            "train_accuracy": round(train[name, k], 6),
            "validation_accuracy": round(validation[name, k], 6),
        }


def _greedy(steps: Sequence[Step], judged: Network) -> Iterator[dict[str, Any]]:
    """A row for each removed parameter, with what is left after the step that removed it."""
    for step in steps[1:]:
        after = _row("greedy", step, judged)
        for name, k in step.removed:
            yield after | {"parameter": _written(name, k, step.state[name].shape), "role": ROLES[name]}


def _written(name: str, k: int, shape: Sequence[int]) -> str:
    """A parameter as it would be indexed, such as `conv.weight[0,0,1,2]`."""
    return f"{name}[{','.join(str(int(place)) for place in np.unravel_index(k, tuple(shape)))}]"


def smallest(rows: Sequence[Row], loss: float = 0.0) -> Mapping[str, int]:
    """Of one network: non-zero parameters `whole`, `pruned` and `tuned`, with at most so much accuracy lost."""
    (whole,) = of_kind(rows, "whole")
    bar = whole["train_accuracy"] - loss - ROUNDING
    fine = [row["remaining"] for row in of_kind(rows, "greedy") if row["train_accuracy"] >= bar]
    pruned = min(fine, default=whole["remaining"])
    tuned = min((row["remaining"] for row in of_kind(rows, "tuned")), default=pruned)
    return {"whole": whole["remaining"], "pruned": pruned, "tuned": min(pruned, tuned)}


def networks(rows: Sequence[Row], dataset: str) -> list[list[Row]]:
    """The rows of each network of a data set that has not died."""
    of_dataset = [row for row in rows if row["dataset"] == dataset]
    seeds = dict.fromkeys(row["seed"] for row in of_dataset if row["kind"] == "whole")
    return [[row for row in of_dataset if row["seed"] == seed] for seed in seeds]


def kept(network: Sequence[Row]) -> Mapping[str, tuple[int, int]]:
    """Of one network pruned at no loss, by role: parameters that stay non-zero, and parameters in all."""
    left = smallest(network)["pruned"]
    gone = {row["parameter"] for row in of_kind(network, "greedy") if row["remaining"] >= left}
    counts: dict[str, tuple[int, int]] = {}
    for row in of_kind(network, "alone"):
        stays, total = counts.get(row["role"], (0, 0))
        counts[row["role"]] = stays + (row["parameter"] not in gone), total + 1
    return counts


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, a few sentences per data set."""
    sentences = _headline(rows)
    for dataset, model in TABLE_I.items():
        found = networks(rows, dataset)
        dead = sum(row["dataset"] == dataset and row["kind"] in ("dead", "diverged") for row in rows)
        name = f"Data set {dataset} ({model.shows}, {model.parameters} parameters)"
        if not found:
            sentences += [f"{name}: no network was left to prune; {dead} died in training."] if dead else []
            continue
        sizes = [smallest(network) for network in found]
        left = {how: [float(size[how]) for size in sizes] for how in ("pruned", "tuned")}
        sentences.append(
            f"{name}: without any loss on the training images {median_with_interval(left['pruned'], 0)} of them stay "
            f"non-zero; where the rest may be trained on, {median_with_interval(left['tuned'], 0)}"
            + (f"; {dead} more had died in training." if dead else ".")
        )
        sentences += [_by_role(found), _validation(found)]
    return sentences


def _headline(rows: Sequence[Row]) -> list[str]:
    """What is left of each minimum model, in one sentence."""
    parts = []
    for dataset, model in TABLE_I.items():
        sizes = [smallest(network) for network in networks(rows, dataset)]
        if sizes:
            pruned, tuned = (float(np.median([size[how] for size in sizes])) for how in ("pruned", "tuned"))
            parts.append(f"{pruned:g} of {model.parameters} on {dataset} ({tuned:g} where the rest is trained on)")
    return [f"At no loss on the training images, in the median, there stay {joined(parts)}."] if parts else []


def _by_role(found: Sequence[Sequence[Row]]) -> str:
    """Which parameters stay, and which can go alone."""
    counts = [kept(network) for network in found]
    shares = []
    for role in counts[0]:
        stays, total = (sum(count[role][k] for count in counts) for k in (0, 1))
        shares.append(f"{stays / total:.0%} of the {role}".replace("%", " %"))
    harmless = [
        [row["parameter"] for row in of_kind(network, "alone") if row["train_accuracy"] >= _bar(network)]
        for network in found
    ]
    always = sorted(set.intersection(*map(set, harmless)))
    alone = f"Alone, {spread([float(len(each)) for each in harmless], 0)} parameters of a network can go at no loss"
    shared = f"; in every network these: {joined(always)}" if 0 < len(always) <= 8 else ""
    return f"{alone}{shared}. Pruned, there stay {joined(shares)}."


def _bar(network: Sequence[Row]) -> float:
    """The accuracy of the whole network on the training images."""
    return float(of_kind(network, "whole")[0]["train_accuracy"]) - ROUNDING


def _validation(found: Sequence[Sequence[Row]]) -> str:
    """What pruning on the training images does to the accuracy on the validation images."""
    before = [float(of_kind(network, "whole")[0]["validation_accuracy"]) for network in found]
    after = []
    for network, whole in zip(found, before):
        left = smallest(network)["pruned"]
        at = [row["validation_accuracy"] for row in of_kind(network, "greedy") if row["remaining"] == left]
        after.append(float(at[0]) if at else whole)
    worst = max(b - a for a, b in zip(after, before))
    return (
        f"On the validation images the pruned networks reach {spread(after)} where the whole ones reach "
        f"{spread(before)}; the largest loss of a network is {max(worst, 0):.3f}."
    )


PRUNING = Study(
    name="pruning",
    title="Pruning the minimum model",
    question="Which parameters of the smallest networks can go at no loss?",
    thesis="The thesis proposes to prune the model that its grid search selects, so that no parameter is left that the "
    "accuracy does not need; it does not try. Its minimum models have 16, 16, 109 and 333 parameters.",
    method=(
        "Each network is trained as in the thesis. Then each parameter is set to zero alone; then parameters are "
        "removed one after the other, always those whose absence costs the fewest training images, until a tenth of "
        "the accuracy is gone.",
        "The training images choose, the validation images only report. No loss means: not one training image fewer "
        "is classified correctly.",
        "With training on: parameters are removed at a small loss, the others are trained on with the removed ones "
        "kept at zero, and if the first accuracy comes back this is repeated.",
        "Greedy removal gives an upper bound: a smaller set of parameters may exist. Intervals are over networks from "
        "different first weights; those that died in training are counted and left out.",
    ),
    columns=("dataset", "seed", "kind", "parameter", "role", "remaining", "train_accuracy", "validation_accuracy"),
    default=Effort(seeds=5, epochs=200, train=1000, validation=2000),
    quick=Effort(seeds=2, epochs=40, train=300, validation=500),
    tasks=tasks,
    run=run,
    findings=findings,
)
