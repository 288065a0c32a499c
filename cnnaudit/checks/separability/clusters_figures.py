"""What `separability.clusters` shows: clusters beside classes, their mean images, the elbow rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.separability.clusters import Groups
    from cnnaudit.embedding.clusters import Clustering

SHOWN = 8  # clusters with a mean image


def shown_clusters(
    features: np.ndarray,
    groups: Groups,
    found: Sequence[Clustering],
    agreements: tuple[float, float],
    null: np.ndarray,
    images: torch.Tensor,
    classes: Sequence[str],
    seed: int,
) -> list[Any]:
    """The clusters beside classes, their mean images, the elbow rules and the null distribution."""
    from cnnaudit.core import evidence
    from cnnaudit.embedding.agreement import adjusted_rand
    from cnnaudit.embedding.elbow import RULES, elbow

    better = found[-1] if agreements[1] > agreements[0] else found[0]
    shown: list[Any] = [
        evidence.table("Images of each class in each cluster", *_contents(better, groups, classes)),
        evidence.images("Mean image of each cluster", *_means(better, images)),
        evidence.null_distribution("If features knew nothing of the class", null, max(agreements), label="agreement"),
    ]
    if groups.both:
        cells = 2 * groups.labels + groups.white
        values = [("classes", found[0], groups.labels), ("classes x backgrounds", found[1], cells)]
        rows = [[name, len(one.centers), adjusted_rand(truth, one.labels)] for name, one, truth in values]
        rows.append(["classes within each background", len(found[1].centers), agreements[1]])
        shown.append(evidence.table("Agreement", ["with", "clusters", "adjusted Rand index"], rows))
    try:
        curve = elbow(features, seed)
    except UnsupportedError:
        return shown
    shown.append(
        evidence.curve(
            "Inertia by number of clusters",
            curve.ks.tolist(),
            {"inertia": (curve.inertia / curve.inertia[0]).tolist()},
            x_label="clusters",
            y_label="inertia, 1 cluster = 1",
        )
    )
    rules = [[rule, RULES[rule], k if k is not None else "none"] for rule, k in curve.chosen.items()]
    shown.append(evidence.table(curve.words.rstrip("."), ["rule", "how many clusters", "says"], rows=rules))
    return shown


def _contents(found: Clustering, groups: Groups, classes: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: how many images of each class (and background) each cluster holds."""
    present = np.unique(groups.labels)
    cells = [(k, white) for k in present for white in ((0, 1) if groups.both else (0,))][:12]
    words = (" on black", " on white") if groups.both else ("",)
    columns = ["cluster", *(f"{classes[k]}{words[white]}" for k, white in cells)]
    rows = []
    for number in range(min(len(found.centers), 24)):
        inside = found.labels == number
        rows.append(
            [number + 1, *(int((inside & (groups.labels == k) & (groups.white == white)).sum()) for k, white in cells)]
        )
    return columns, rows


def _means(found: Clustering, images: torch.Tensor) -> tuple[np.ndarray, list[str]]:
    """The mean image of the largest clusters, with their sizes."""
    numbers = range(min(len(found.centers), SHOWN))
    means = np.stack([images[found.labels == number].mean(0).numpy() for number in numbers])
    sizes = np.bincount(found.labels)
    captions = [f"{number + 1}: {sizes[number]} images" for number in numbers]
    return means[:, :3] if means.shape[1] >= 3 else means[:, :1], captions
