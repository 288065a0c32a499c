"""What the finding about the previous model shows: the images that became wrong, by class and group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from cnnaudit.checks import CheckContext
from cnnaudit.checks.behavior._before_and_after import small
from cnnaudit.checks.behavior._sample import LISTED
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence

if TYPE_CHECKING:
    from cnnaudit.checks.behavior.regression import Change

SHOWN = 12


def figures(
    context: CheckContext,
    images: torch.Tensor,
    answers: tuple[np.ndarray, np.ndarray],
    rows: Sequence[Change],
    flipped: tuple[np.ndarray, Sequence[str]],
) -> list[Evidence]:
    """Pictures of the images that became wrong, the surest mistakes first; all of them, and the groups, as tables.

    Args:
        answers: labels and predictions of this model, each (n,).
        flipped: positions in the sample of the images that became wrong, and their names.
    """
    classes, (labels, now) = context.target.classes, answers
    confidence = context.predictions("validation").softmax(1).max(1).values.numpy()
    order = np.argsort(-confidence[flipped[0]], kind="stable")
    places, names = flipped[0][order], [flipped[1][k] for k in order]
    found: list[Evidence] = []
    if len(places):
        captions = [f"{classes[labels[k]]}, now {classes[now[k]]}" for k in places[:SHOWN]]
        pictures = small(images[torch.from_numpy(places[:SHOWN])]).numpy()
        found.append(evidence.images("Right before, wrong now: class and answer", pictures, captions))
    shares = {row.name: row.lost / row.images for row in rows[:LISTED]}
    found.append(
        evidence.bars("Negative flips by class and group", shares, label="share of images", tolerance=context.tolerance)
    )
    together = 1 - (1 - context.confidence) / max(len(rows), 1)
    found.append(
        evidence.table(
            "Lost and gained by class and group (exact paired test; interval corrected for all rows)",
            ("class or group", "images", "lost", "gained", "accuracy lost, at least", "at most", "p"),
            [
                (
                    row.name,
                    row.images,
                    row.lost,
                    row.gained,
                    *(round(bound, 3) for bound in row.interval(together)),
                    float(f"{row.p_value:.2g}"),
                )
                for row in rows
            ],
            file="groups.csv",
        )
    )
    if len(places):
        found.append(
            evidence.table(
                "Images that became wrong",
                ("image", "class", "answer now", "confidence now"),
                [
                    (name, classes[labels[k]], classes[now[k]], round(float(confidence[k]), 3))
                    for k, name in zip(places, names)
                ],
                file="negative-flips.csv",
            )
        )
    return found
