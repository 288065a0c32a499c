"""The page of a training: curves, confusion matrix, table and graph of the network, and what was published."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import curve, table
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.interventions.dataflow import dataflow
from cnnaudit.pages.colors import PAGE
from cnnaudit.pages.document import Drawing, Part, Section, document
from cnnaudit.pages.output import write
from cnnaudit.pages.train.figures import confusion_figure, confusions
from cnnaudit.pages.train.network_graph import boxes, graph_figure, network_rows, rows
from cnnaudit.report.words import plural
from cnnaudit.training.course import Course, confusion
from cnnaudit.training.recipes import Recipe

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget


def write_training(
    target: AuditTarget, course: Course, folder: Path, recipe: Recipe | None, command: str
) -> list[Path]:
    """Write `train.html`, `training.csv` (a row per epoch) and `confusion.csv`, and return their paths.

    Raises:
        OutputError: a file cannot be written; the message says where the files are kept.
    """
    import pandas

    labels = np.asarray(target.split("validation").labels)
    counts = confusion(labels, course.predicted, len(target.classes))
    sections = [
        Section("The course", [_sentence(course), *_published(course, recipe, target)], _curves(course)),
        Section("What is confused with what", [], _confusion(counts, target)),
        _network(target),
        Section("How it was trained", [f"{course.plan.words[0].upper()}{course.plan.words[1:]}.", f"Again: {command}"]),
    ]
    html = document(f"Training of {target.name}", lead(course, counts), sections, "Training")
    files = {
        folder / "train.html": html,
        folder / "training.csv": course.to_frame().to_csv(index=False),
        folder / "confusion.csv": pandas.DataFrame(counts, list(target.classes), list(target.classes)).to_csv(),
    }
    write(files)
    return list(files)


def lead(course: Course, counts: np.ndarray) -> str:
    """What was reached, with its uncertainty, beside what 'always the largest class' would."""
    right, total = int(np.trace(counts)), int(counts.sum())
    low, high = proportion_interval(right, total)
    always = counts.sum(axis=1).max() / total
    return (
        f"After {plural(course.chosen, 'epoch')} the network is right on {_share(right / total)} of {total:,} "
        f"validation images ({_share(low)} to {_share(high)}); always naming the largest class would be right on "
        f"{_share(always)}."
    )


def _sentence(course: Course) -> str:
    first, last = course.epochs[0], course.end
    stopped = len(course.epochs) < course.plan.epochs
    return (
        f"The training loss went from {first.loss:.3f} to {last.loss:.3f}, the validation loss from "
        f"{first.validation_loss:.3f} to {last.validation_loss:.3f}."
        + (f" It was stopped after {len(course.epochs)} of {course.plan.epochs} epochs." if stopped else "")
        + (f" The weights are those after epoch {course.chosen}." if course.chosen < len(course.epochs) else "")
    )


def _published(course: Course, recipe: Recipe | None, target: AuditTarget) -> list[str]:
    """The published number beside ours, and what makes them comparable or not."""
    if recipe is None or recipe.accuracy is None:
        return []
    source = recipe.accuracy.document
    text = (
        f"Published: {_share(recipe.accuracy.value)} ({source.authors.split(',')[0]}, {source.year}, "
        f"{recipe.accuracy.place}); here {_share(course.end.validation_accuracy)} after {len(course.epochs)} of "
        f"{recipe.plan.epochs} epochs."
    )
    images = len(target.split("train").labels)
    if images < recipe.published_images:
        text += (
            f" These data have {images:,} of the {recipe.published_images:,} training images that the published number "
            "rests on: it cannot be expected here."
        )
    return [text]


def _curves(course: Course) -> list[Part]:
    numbers = [epoch.number for epoch in course.epochs]
    kinds = {
        "Loss": ({"training": "loss", "validation": "validation_loss"}, "cross-entropy"),
        "Accuracy": ({"training": "accuracy", "validation": "validation_accuracy"}, "share of images"),
    }
    return [
        curve(
            title,
            numbers,
            {name: [getattr(epoch, key) for epoch in course.epochs] for name, key in lines.items()},
            x_label="epoch",
            y_label=label,
        )
        for title, (lines, label) in kinds.items()
    ]


def _confusion(counts: np.ndarray, target: AuditTarget) -> list[Part]:
    caption = "Rows are the classes of the images, columns the predicted ones; the diagonal is right."
    title = "Confusion matrix: images of each class by predicted class"
    drawing = Drawing(title, partial(confusion_figure, counts, target.classes, PAGE), caption, wide=len(counts) > 8)
    worst = table("Confused most", ["class", "predicted as", "images", "share"], confusions(counts, target.classes))
    return [drawing, worst]


def _network(target: AuditTarget) -> Section:
    """The network as a table and as a graph."""
    try:
        flow = dataflow(target.model, target.split("validation").read(np.array([0])).to(target.device))
    except UnsupportedError as error:
        return Section("The network", [f"The network cannot be drawn: {error}."])
    found = boxes(flow)
    parameters = sum(p.numel() for p in target.model.parameters())
    grouped = len(found) - 1 < len(flow.nodes)
    caption = "From the image above to the logits below; the last number is that of the parameters." + (
        f" The {len(flow.nodes)} calls are grouped by module." if grouped else ""
    )
    wide = max(len(line) for line in rows(found)) > 2
    drawing = Drawing("Graph of the network", partial(graph_figure, found, PAGE), caption, wide=wide)
    listed = table("Layers, in the order of their calls", ["layer", "kind", "output", "parameters"], network_rows(flow))
    return Section("The network", [f"{parameters:,} parameters in {len(flow.nodes)} calls."], [listed, drawing])


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"
