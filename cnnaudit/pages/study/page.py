"""The page of a study: what was found, its figure, its tables, how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.pages.colors import PAGE
from cnnaudit.pages.document import Drawing, Section, document
from cnnaudit.pages.output import write
from cnnaudit.pages.study import figures as study_figures
from cnnaudit.studies import activations, classic_filters, filter_similarity, noise_curve, pruning, single_pixel
from cnnaudit.studies.study import Effort, Results, Row, Study
from cnnaudit.studies.summary import of_kind, quartiles, shown
from cnnaudit.studies.thesis import TABLE_I

CAPTIONS: Mapping[str, str] = {
    "pruning": "From left to right parameters are removed. A flat line costs nothing; the circle is the last place "
    "without any loss, the triangle what training the rest adds to it.",
    "classic-filters": "Above: the closer a line is to the upper left, the faster training is (bands: quartiles over "
    "networks). Below: each dot is the median of a frozen filter with its quartiles, for either padding; the shaded "
    "bands are the quartiles of learned and of random frozen filters, in the colors of the legend.",
    "filter-similarity": "Dots at the right edge are the same filter. What lies in the gray band is no more alike than "
    "random filters.",
    "noise": "Above: what each architecture reaches as noise grows. Below: the first rung of the ladder that reaches "
    "an accuracy, for half of the networks (solid) and for the best of them by training accuracy (dashed).",
    "activations": "Median validation accuracy of each combination: the darker, the higher.",
    "single-pixel": "How many images have at least one pixel that, set to black or white, changes the predicted class.",
}
SIDE = 140  # pixels of an enlarged example


def write_study(study: Study, effort: Effort, results: Results, folder: Path, command: str) -> list[Path]:
    """Write `<name>.png` and `<name>.html` beside the study's table, and return their paths.

    Args:
        command: that makes them again, for the page.

    Raises:
        OutputError: a file cannot be written; the message says where the files are kept.
    """
    picture, page = (folder / f"{study.name}.{ending}" for ending in ("png", "html"))
    html = document(study.title, *content(study, effort, results, command))
    write({picture: study_figures.png(study.name, results.rows), page: html})
    return [picture, page]


def content(study: Study, effort: Effort, results: Results, command: str) -> tuple[str, list[Section], str]:
    """Lead, sections and eyebrow of the page."""
    found = study.findings(results.rows)
    lead = found[0] if found else "Nothing has finished yet."
    figure = Drawing(
        study.title,
        partial(study_figures.PAINTERS[study.name], results.rows, PAGE),
        CAPTIONS[study.name],
        wide=True,
    )
    cost = (
        f"Effort: {effort}. {len(results.rows):,} rows in {results.seconds / 60:.1f} minutes of one processor core, in "
        f"{study.name}.csv beside this page. Again: {command}"
    )
    sections = [
        Section("The question", [study.question, f"{study.thesis} ({study.source}.)"]),
        Section("What was found", [], [figure]),
        Section("In words", found[1:]),
        *(Section("In numbers", [], tables) for tables in [TABLES[study.name](results.rows)] if tables),
        Section("How it was measured", [*study.method, cost]),
    ]
    return lead, sections, "Study"


def _pruning(rows: Sequence[Row]) -> list[Evidence]:
    """Sizes by network, and what stays by role."""
    sizes, roles = [], []
    for dataset in TABLE_I:
        for network in pruning.networks(rows, dataset):
            size, slack = pruning.smallest(network), pruning.smallest(network, 0.01)
            seed = network[0]["seed"]
            sizes.append((dataset, seed, size["whole"], size["pruned"], slack["pruned"], size["tuned"]))
        counts = [pruning.kept(network) for network in pruning.networks(rows, dataset)]
        for role in counts[0] if counts else ():
            stays, total = (sum(count[role][k] for count in counts) for k in (0, 1))
            roles.append((dataset, role, total // len(counts), round(stays / len(counts), 1)))
    columns = ("data set", "seed", "non-zero", "at no loss", "at a loss of .01", "at no loss, rest trained on")
    return [
        evidence.table("Non-zero parameters of each network", columns, sizes),
        evidence.table("What stays at no loss, on average", ("data set", "role", "parameters", "stay"), roles),
    ]


def _classic(rows: Sequence[Row]) -> list[Evidence]:
    """Accuracy and speed by arm."""
    table = []
    for dataset in TABLE_I:
        for arm, words in classic_filters.ARMS.items():
            found = classic_filters.of_arm(rows, dataset, arm)
            if found:
                low, middle, high = (shown(value) for value in quartiles(classic_filters.accuracies(found)))
                reached = [epoch for epoch in classic_filters.epochs_of(found) if np.isfinite(epoch)]
                median = round(float(np.median(reached)), 1) if reached else None
                dead = sum(row["outcome"] == "dead" for row in found)
                table.append((dataset, words, len(found), dead, middle, f"{low} to {high}", len(reached), median))
    columns = ("data set", "start", "networks", "dead", "median", "quartiles", "reach the target", "median epoch")
    return [evidence.table("Validation accuracy, and the epoch of the target", columns, table)]


def _similarity(rows: Sequence[Row]) -> list[Evidence]:
    """Similarities by data set and change, and the filters themselves."""
    table: list[tuple[Any, ...]] = []
    for dataset in TABLE_I:
        for change, words in filter_similarity.CHANGES.items():
            matrix = filter_similarity.compared(rows, dataset, change)
            if len(matrix):
                mean, (low, high) = filter_similarity.mean_of_pairs(matrix)
                same = "" if change == "none" else shown(filter_similarity.mean_of_pairs(matrix, same=True)[0], 2)
                interval = f"{shown(low, 2)} to {shown(high, 2)}"
                table.append((dataset, words, len(matrix), same, shown(mean, 2), interval))
    columns = ("data set", "trained on", "networks", "same first weights", "other first weights", "95 % interval")
    return [
        evidence.table("Mean similarity to the filters learned on the data set itself", columns, table),
        *(_filters(rows, dataset) for dataset in TABLE_I if filter_similarity.filters_of(rows, dataset, "none")),
    ]


def _filters(rows: Sequence[Row], dataset: str) -> Evidence:
    """A few filters as learned on the data set, and from the same first weights on other data."""
    learned = {
        change: filter_similarity.filters_of(rows, dataset, change) for change in ("none", "other draw", "other figure")
    }
    seeds = sorted(set.intersection(*(set(filters) for filters in learned.values())))[:4]
    pictures, captions = [], []
    for seed in seeds:
        for change, filters in learned.items():
            values = filters[seed] / (2 * np.abs(filters[seed]).max()) + 0.5
            pictures.append(np.kron(values, np.ones((24, 24)))[None])
            captions.append(f"seed {seed}: {filter_similarity.CHANGES[change]}")
    title = f"Filters of data set {dataset} (gray: 0, white: positive, black: negative)"
    return evidence.images(title, np.array(pictures).reshape(-1, 1, 72, 72), captions)


def _noise(rows: Sequence[Row]) -> list[Evidence]:
    """Median and quartiles of every rung at every level."""
    table = []
    for dataset, shows in noise_curve.DATASETS.items():
        for level in noise_curve.complete(rows, dataset):
            for size in noise_curve.LADDER:
                found = noise_curve.of_rung(rows, dataset, level, size)
                low, middle, high = (round(value, 3) for value in quartiles(noise_curve.accuracies(found)))
                best = round(noise_curve.best(found), 3)
                table.append((shows, level, size, len(found), low, middle, high, best))
    columns = (
        "figures are",
        "noise",
        "parameters",
        "networks",
        "quartile 1",
        "median",
        "quartile 3",
        "best by training",
    )
    return [evidence.table("Validation accuracy", columns, table)]


def _pixels(rows: Sequence[Row]) -> list[Evidence]:
    """Flipped images of each target, the pixel framed."""
    found: list[Evidence] = []
    for name in dict.fromkeys(row["name"] for row in of_kind(rows, "example")):
        pictures, captions = [], []
        for row in [row for row in of_kind(rows, "example") if row["name"] == name][::2][:3]:
            before, after = single_pixel.example_images(row).numpy()
            pictures += [_enlarged(before), _framed(_enlarged(after), after.shape[-1], row["row"], row["column"])]
            captions += [f"{row['label']}, answered {row['before']}", f"answered {row['after']}: one pixel is changed"]
        found.append(evidence.images(f"{name}: images that one pixel flips", np.array(pictures), captions))
    return found


def _activations(rows: Sequence[Row]) -> list[Evidence]:
    """Accuracy, speed and filters of each combination, best first."""
    found = []
    for task in activations.tasks(activations.ACTIVATION_STUDY.default):
        some = activations.of(rows, **task)
        if some:
            low, middle, high = (round(value, 3) for value in quartiles([row["validation_accuracy"] for row in some]))
            reached = [row["reached"] for row in some if row["reached"] is not None]
            epoch = round(float(np.median(reached)), 1) if reached else None
            filters = [
                round(float(np.mean([row[name] for row in some])), 2) for name in ("active1", "active2", "zeros2")
            ]
            found.append((*task.values(), len(some), middle, f"{low} to {high}", len(reached), epoch, *filters))
    columns = (
        *("activation", "optimizer", "pooling", "networks", "median", "quartiles", "reach .9", "median epoch"),
        *("active, layer 1", "active, layer 2", "zeros, layer 2"),
    )
    title = "Validation accuracy, the epoch of .9, and the share of filters that are active on some image"
    return [evidence.table(title, columns, sorted(found, key=lambda row: -row[4]))]


def _enlarged(image: np.ndarray) -> np.ndarray:
    """A gray image (1, H, W) as color, several screen pixels for each of its own."""
    factor = max(1, SIDE // image.shape[-1])
    return np.repeat(np.kron(image, np.ones((1, factor, factor))), 3, axis=0)


def _framed(image: np.ndarray, side: int, row: int, column: int) -> np.ndarray:
    """The image with an orange frame around one of its pixels."""
    factor = image.shape[-1] // side
    top, left = max(0, row * factor - 2), max(0, column * factor - 2)
    bottom, right = (row + 1) * factor + 2, (column + 1) * factor + 2
    inside = image[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor].copy()
    image[:, top:bottom, left:right] = np.array([0.9, 0.35, 0.0])[:, None, None]
    image[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor] = inside
    return image


TABLES: Mapping[str, Callable[[Sequence[Row]], list[Evidence]]] = {
    "pruning": _pruning,
    "classic-filters": _classic,
    "filter-similarity": _similarity,
    "noise": _noise,
    "single-pixel": _pixels,
    "activations": _activations,
}
