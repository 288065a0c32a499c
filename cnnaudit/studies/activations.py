"""What do the activation, the optimizer and the pooling do to accuracy, speed of training, and filters?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import joined, quartiles, shown
from cnnaudit.training.plan import OPTIMIZERS

ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "heaviside")
POOLINGS = ("max", "average", "l2")
REACHED = 0.9  # the validation accuracy whose first epoch is noted
IMAGES = 200  # that active filters are counted on


def tasks(effort: Effort) -> list[Task]:
    """One activation with one optimizer and one pooling each."""
    return [
        {"activation": activation, "optimizer": optimizer, "pooling": pooling}
        for activation in ACTIVATIONS
        for optimizer in OPTIMIZERS
        for pooling in POOLINGS
    ]


def run(task: Task, effort: Effort) -> list[Row]:
    """Train the networks of one combination on the digits; a row for each."""
    from cnnaudit.data import digits
    from cnnaudit.models import lenet
    from cnnaudit.target.arrays import ArraySplit
    from cnnaudit.training import Plan, train

    splits = []
    for split, number in (("train", effort.train), ("validation", effort.validation)):
        data = digits(split)  # type: ignore[arg-type]
        rows = np.concatenate([np.flatnonzero(data.labels == digit)[:number] for digit in range(10)])
        splits.append(ArraySplit(split, data.images[rows], data.labels[rows], 10))
    training, validation = splits
    found: list[Row] = []
    for seed in range(effort.seeds):
        model = lenet((8, 16), 32, activation=task["activation"], pooling=task["pooling"])
        plan = Plan(task["optimizer"], epochs=effort.epochs, batch_size=32, seed=seed)
        course = train(model, training, validation, plan)
        accuracies = [epoch.validation_accuracy for epoch in course.epochs]
        reached = next((epoch.number for epoch in course.epochs if epoch.validation_accuracy >= REACHED), None)
        images = validation.read(np.arange(min(IMAGES, len(validation.labels))))
        found.append(
            {
                **task,
                "seed": seed,
                "train_accuracy": round(course.end.accuracy, 6),
                "validation_accuracy": round(course.end.validation_accuracy, 6),
                "reached": reached,
                "curve": " ".join(f"{value:.3f}" for value in accuracies),
                **_filters(model, images),
            }
        )
    return found


def _filters(model: Any, images: Any) -> dict[str, Any]:
    """How the activations of both layers spread: the share of filters that differ between images, and of zeros."""
    from cnnaudit.interventions import run_until

    told: dict[str, Any] = {}
    for number in (1, 2):
        maps = run_until(model, images, f"relu{number}").detach().flatten(2)
        norms = maps.norm(dim=2).numpy()  # (images, filters), as active filters are counted by
        told[f"active{number}"] = round(float((norms > norms.mean(axis=1, keepdims=True)).any(axis=0).mean()), 4)
        told[f"varied{number}"] = round(float((norms.std(axis=0) > 1e-3 * max(norms.max(), 1e-9)).mean()), 4)
        told[f"zeros{number}"] = round(float((maps == 0).float().mean()), 4)
    return told


def of(rows: Sequence[Row], **wanted: str) -> list[Row]:
    """The rows with those values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def median(rows: Sequence[Row]) -> float:
    """The median validation accuracy; NaN without rows."""
    return quartiles([row["validation_accuracy"] for row in rows])[1] if rows else float("nan")


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say: the best and worst combination, each factor alone, and what the layers show."""
    if not rows:
        return []
    combinations = {
        (a, o, p): median(found)
        for a in ACTIVATIONS
        for o in OPTIMIZERS
        for p in POOLINGS
        if (found := of(rows, activation=a, optimizer=o, pooling=p))
    }
    ordered = sorted(combinations, key=lambda key: -combinations[key])
    first, last = ordered[0], ordered[-1]
    sentences = [
        f"Of {len(combinations)} combinations {_name(first)} reaches the most, {shown(combinations[first])} in the "
        f"median, and {_name(last)} the least, {shown(combinations[last])}."
    ]
    for factor, names in (("activation", ACTIVATIONS), ("optimizer", tuple(OPTIMIZERS)), ("pooling", POOLINGS)):
        parts = [f"{name} {shown(median(found))}" for name in names if (found := of(rows, **{factor: name}))]
        sentences.append(f"Median validation accuracy by {factor}: {joined(parts)}.")
    stuck = [row for row in rows if row["validation_accuracy"] < 0.3]
    if stuck:
        worst = {a: len(of(stuck, activation=a)) for a in ACTIVATIONS if of(stuck, activation=a)}
        told = joined([f"{count} with {name}" for name, count in worst.items()])
        sentences.append(f"{len(stuck)} of {len(rows)} networks stay below .3: {told}.")
    for name in ACTIVATIONS:
        if found := of(rows, activation=name):
            active, zeros = (float(np.mean([row[key] for row in found])) for key in ("active2", "zeros2"))
            sentences.append(
                f"With {name}, {100 * active:.0f} % of the filters of the second layer are active on some image "
                f"(a norm above the mean of the filters), and {100 * zeros:.0f} % of the values of their maps are 0."
            )
    return sentences


def _name(key: tuple[str, str, str]) -> str:
    return f"{key[0]} with {key[1]} and {key[2]} pooling"


ACTIVATION_STUDY = Study(
    name="activations",
    title="Activation, optimizer and pooling",
    question="What do the activation, the optimizer and the pooling do to accuracy, speed and filters?",
    thesis="Aouassar, Madhar and Gea (2019) announce to vary the activation function and the optimizer, and show one "
    "of each; the step function that they describe has no gradient.",
    source="O. Aouassar, N. Madhar and R. Gea, Visualizing and understanding convolutional networks, 2019",
    method=(
        "A small LeNet (8 and 16 filters, 32 neurons) is trained on scikit-learn's digits with each of five "
        "activations, five optimizers and three poolings, in batches of 32, at the usual learning rate of each "
        "optimizer: none is tuned, so that a low accuracy may be one of the rate.",
        "The step function (heaviside) is 0 or 1; its gradient is replaced by 1 / (1 + |2x|)^2 (Neftci et al. 2019).",
        "A filter is active on an image where the norm of its map exceeds the mean norm of the layer's filters; "
        "counted are those that are active on at least one of 200 validation images.",
    ),
    columns=(
        *("activation", "optimizer", "pooling", "seed", "train_accuracy", "validation_accuracy", "reached"),
        *("active1", "varied1", "zeros1", "active2", "varied2", "zeros2", "curve"),
    ),
    default=Effort(seeds=3, epochs=12, train=100, validation=50),
    quick=Effort(seeds=2, epochs=4, train=40, validation=40),
    tasks=tasks,
    run=run,
    findings=findings,
)
