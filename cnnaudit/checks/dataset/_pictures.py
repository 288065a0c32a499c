"""What the findings about data show: the images at fault, and the small tables a person checks them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.dataset._columns import is_numeric
from cnnaudit.checks.dataset._duplicates import CopyShares, Twins, repeats
from cnnaudit.checks.dataset._ring import GRID, RingScores
from cnnaudit.checks.dataset._scan import Scan
from cnnaudit.checks.dataset._spread import Spreads
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.statistics import balanced as scores
from cnnaudit.reading.hand_made import Explained

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

SHOWN_CLASSES = 10
_SIDE = 96
_EXAMPLES = 4
_PAIRS = 4
_RINGS = 3
_VALUES = 8
_COLUMNS = 6


def of_spreads(target: AuditTarget, split: str, seen: Scan, found: Spreads, tolerance: float) -> list[Evidence]:
    """Images of the class that varies least and of a typical one, the spreads, and the exact repeats."""
    order = np.argsort(found.ratio, kind="stable")
    names = [target.classes[k] for k in found.classes]
    rows: list[int] = []
    for label in (found.classes[order[0]], found.classes[order[len(order) // 2]]):
        members = np.nonzero(seen.labels == label)[0]
        rows += members[np.linspace(0, len(members) - 1, min(_EXAMPLES, len(members))).astype(int)].tolist()
    repeated = {k: repeats(seen.fingerprints[seen.labels == found.classes[k]]) for k in order[:SHOWN_CLASSES]}
    return [
        evidence.images(
            "The class that varies least, and a typical one",
            _pictures(target, split, seen.indices[rows]),
            [target.classes[seen.labels[row]] for row in rows],
        ),
        evidence.bars(
            "Spread of each class",
            {names[k]: float(found.ratio[k]) for k in order[:SHOWN_CLASSES]},
            label="ratio to the other classes",
            tolerance=tolerance,
        ),
        evidence.table(
            "Repeated images",
            ["class", "images", "exact repeats of an earlier one"],
            [[names[k], int(found.n[k]), f"{share:.1%}"] for k, share in repeated.items()],
        ),
    ]


def of_twins(target: AuditTarget, validation: Scan, train: Scan, twins: Twins, shares: CopyShares) -> list[Evidence]:
    """Validation images beside their twins in the training split (without any, the most similar pair), and counts."""
    copied = np.nonzero(twins.exact | twins.near)[0]
    rows = copied[np.linspace(0, len(copied) - 1, min(_PAIRS, len(copied))).astype(int)] if len(copied) else []
    shown, captions = [], []
    for row in rows if len(rows) else [int(twins.similarity.argmax())]:
        partner = twins.partner[row]
        shown.append(_pictures(target, "validation", validation.indices[[row]]))
        shown.append(_pictures(target, "train", train.indices[[partner]]))
        word = "same pixels" if twins.exact[row] else f"similarity {twins.similarity[row]:.4f}"
        own = target.split("validation").name(int(validation.indices[row]))
        other = target.split("train").name(int(train.indices[partner]))
        captions.append(f"{own} ({target.classes[validation.labels[row]]})")
        captions.append(f"{other} ({target.classes[train.labels[partner]]}): {word}")
    title = "Validation images, each with its copy in training" if len(copied) else "The most similar pair: no copy"
    order = np.argsort(-shares.share, kind="stable")[:SHOWN_CLASSES]
    counts = [
        [target.classes[shares.classes[k]], *(int(x[k]) for x in (shares.n, shares.exact, shares.near))] for k in order
    ]
    return [
        evidence.images(title, np.concatenate(shown), captions),
        evidence.table("Copies by class", ["class", "validation images", "exact copies", "near copies"], counts),
    ]


def of_tree(
    found: Explained, features: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str]
) -> list[Evidence]:
    """The features the tree asks about with their median in each class, and what tree and model achieve."""
    present = [int(k) for k in np.unique(labels)][:_COLUMNS]
    ranked = sorted(zip(found.tree.feature_importances_, features.items()), key=lambda row: -row[0])
    rows = [
        [name, float(f"{weight:.2f}"), *(float(f"{np.median(column[labels == k]):.3g}") for k in present)]
        for weight, (name, column) in ranked
        if weight > 0
    ]
    columns = ["feature", "importance", *(f"median, {classes[k]}" for k in present)]
    shown = {
        f"tree, {found.tree.get_n_leaves()} leaves": found.score,
        "larger tree": found.larger,
        "the model": found.model,
    }
    return [
        evidence.table("What the small tree looks at", columns, rows),
        evidence.bars("Balanced accuracy above chance", shown, label="0: chance, 1: perfect"),
    ]


def of_rings(seen: Scan, found: RingScores, classes: Sequence[str], tolerance: float) -> list[Evidence]:
    """The mean outer ring of the classes it gives away most and of all others, the interior grayed out."""
    labels = seen.labels
    order = np.argsort(-found.auc, kind="stable")[:SHOWN_CLASSES]
    chosen = found.classes[order[:_RINGS]]
    groups = [(classes[k], labels == k) for k in chosen] + [("all other classes", ~np.isin(labels, chosen))]
    shown, captions = [], []
    for name, members in groups:
        if members.any():
            shown.append(_ring_only(seen.thumbnails[members].mean(axis=0) / 255))
            captions.append(f"{name}, mean of {int(members.sum())}")
    scored = {classes[found.classes[k]]: float(found.auc[k]) for k in order}
    return [
        evidence.images("The mean outer ring, interior hidden", np.stack(shown), captions),
        evidence.bars("What the ring says of each class", scored, label="AUC, .5 is chance", tolerance=tolerance),
    ]


def of_answers(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Evidence]:
    """Model and 'always the majority' on each scale, and what is predicted for each class."""
    present, sizes = np.unique(labels, return_counts=True)
    balanced = float(np.mean([np.mean(predicted[labels == k] == k) for k in present]))
    beside = [
        ["accuracy", f"{np.mean(predicted == labels):.1%}", f"{sizes.max() / sizes.sum():.1%}"],
        ["balanced accuracy", f"{balanced:.1%}", f"{1 / len(present):.1%}"],
        ["Cohen's kappa", f"{scores.kappa(predicted, labels):.3f}", "0"],
    ]
    shown = present[np.argsort(-sizes, kind="stable")[:SHOWN_CLASSES]]
    rows = [
        [
            classes[k],
            int((labels == k).sum()),
            f"{np.mean(predicted[labels == k] == k):.1%}",
            int((predicted == k).sum()),
        ]
        for k in shown
    ]
    return [
        evidence.table("On one scale", ["", "this model", "always the majority"], beside),
        evidence.table("The largest classes", ["class", "images", "recognized", "predicted in all"], rows),
    ]


def of_column(name: str, column: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Evidence]:
    """The mixture of classes behind each value of a column, or behind each quarter of its range."""
    groups: list[tuple[str, np.ndarray]]
    if is_numeric(column):
        known = column[~np.isnan(column.astype(float))]
        bounds = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
        quarter = np.where(np.isnan(column.astype(float)), -1, np.searchsorted(bounds[1:4], column, side="right"))
        groups = [(f"{bounds[k]:.4g} to {bounds[k + 1]:.4g}", quarter == k) for k in range(4)]
        groups.append(("missing", quarter == -1))
    else:
        values, counts = np.unique(column, return_counts=True)
        largest = values[np.argsort(-counts, kind="stable")[:_VALUES]]
        groups = [(str(value) or "missing", column == value) for value in largest]
    present = [int(k) for k in np.unique(labels)][:_COLUMNS]
    rows = [
        [label, int(members.sum()), *(f"{np.mean(labels[members] == k):.1%}" for k in present)]
        for label, members in groups
        if members.any()
    ]
    return [evidence.table(f"The classes behind '{name}'", [name, "images", *(classes[k] for k in present)], rows)]


def _pictures(target: AuditTarget, split: str, positions: np.ndarray) -> np.ndarray:
    """Images of a split, small enough for a report."""
    images: np.ndarray = _small(target.split(split).read(positions)).numpy()
    return images


def _ring_only(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) with everything gray but the outer ring."""
    height, width = image.shape[1:]
    down, right = (max(1, -(-side // GRID)) for side in (height, width))
    masked = image.copy()
    masked[:, down : height - down, right : width - right] = 0.5
    return masked


def _small(images: torch.Tensor) -> torch.Tensor:
    """Images averaged down to sides of at most 96 pixels."""
    from torch.nn import functional

    factor = min(1.0, _SIDE / max(images.shape[2:]))
    height, width = (max(1, round(side * factor)) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width))
