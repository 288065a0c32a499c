"""What the finding about corruptions shows: accuracy by corruption and severity, and pictures of the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cnnaudit.checks import CheckContext
from cnnaudit.checks.behavior._before_and_after import pairs
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.corruptions import CORRUPTIONS, SEVERITIES, corrupt

if TYPE_CHECKING:
    from cnnaudit.checks.behavior.corruption import Corrupted


@dataclass(frozen=True)
class Row:
    """Accuracy under one corruption, over all severities and at each, with an interval that holds for all of them."""

    name: str
    accuracy: float
    interval: tuple[float, float]
    images: int
    by_severity: tuple[float, ...]

    @property
    def words(self) -> str:
        """The name without underscores."""
        return self.name.replace("_", " ")


def by_corruption(found: Corrupted, correct: np.ndarray, confidence: float) -> list[Row]:
    """Every corruption, the worst first.

    The exact interval counts each image once, however many severities it was shown at, and is corrected for the number
    of corruptions (Bonferroni).
    """
    rows = []
    for name in CORRUPTIONS:
        own = found.name == name
        images, accuracy = len(np.unique(found.image[own])), float(correct[own].mean())
        level = 1 - (1 - confidence) / len(CORRUPTIONS)
        severities = tuple(float(correct[own & (found.severity == s)].mean()) for s in SEVERITIES)
        interval = proportion_interval(round(accuracy * images), images, level)
        rows.append(Row(name, accuracy, interval, images, severities))
    return sorted(rows, key=lambda row: row.accuracy)


def figures(
    context: CheckContext,
    images: torch.Tensor,
    labels: np.ndarray,
    found: Corrupted,
    correct: np.ndarray,
    rows: Sequence[Row],
    clean: float,
) -> list[Evidence]:
    """Bars, severities, the table and pictures of the worst corruption."""
    by_severity = [float(correct[found.severity == s].mean()) for s in SEVERITIES]
    worst = [row.by_severity for row in rows[:1]]
    return [
        evidence.bars(
            "Accuracy under each corruption",
            {"as they are": clean} | {r.words: r.accuracy for r in rows},
            label="accuracy",
        ),
        evidence.curve(
            "Accuracy by severity, 0: as they are",
            (0, *SEVERITIES),
            {"mean of 15 corruptions": [clean, *by_severity], rows[0].words: [clean, *worst[0]]},
            x_label="severity",
            y_label="accuracy",
        ),
        *_pictures(context, images, labels, found, rows[0]),
        evidence.table(
            "Accuracy under each corruption, the worst first, and at its severities 1 to 5",
            ("corruption", "accuracy", "interval", "images", *map(str, SEVERITIES)),
            [
                (
                    row.words,
                    round(row.accuracy, 3),
                    f"{row.interval[0]:.3f} to {row.interval[1]:.3f}",
                    row.images,
                    *(round(value, 3) for value in row.by_severity),
                )
                for row in rows
            ],
        ),
    ]


def _pictures(
    context: CheckContext, images: torch.Tensor, labels: np.ndarray, found: Corrupted, worst: Row
) -> list[Evidence]:
    """Images that the worst corruption made the model lose, or else what that corruption looks like."""
    classes, lost = context.target.classes, found.examples[worst.name]
    if lost:
        shown = [row for row, *_ in lost]
        captions = [
            (f"{classes[labels[row]]} (right)", f"{classes[answer]}: {worst.words} {severity}")
            for row, severity, _, answer in lost
        ]
        changed = torch.stack([image for _, _, image, _ in lost])
        return pairs(f"Images lost to {worst.words}", images[shown], changed, captions)
    generator = context.torch_generator("pictures")
    looks = torch.cat([corrupt(images[:1], worst.name, severity, generator) for severity in SEVERITIES])
    return [
        evidence.images(
            f"One image with {worst.words}", looks.numpy(), [f"severity {severity}" for severity in SEVERITIES]
        )
    ]
