"""What the finding about a hidden group shows: its images, and what tells them from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from cnnaudit.checks import CheckContext
from cnnaudit.checks.behavior._before_and_after import small
from cnnaudit.checks.behavior._sample import LISTED, image_names
from cnnaudit.checks.behavior._slices import Slice
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence

SHOWN = 12
ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a feature differs between a group and the other images.

    Attributes:
        inside, outside: its median.
        auc: chance that an image of the group has more of it than another image.
        significant: by a rank test at .01 over all features (Bonferroni).
    """

    name: str
    inside: float
    outside: float
    auc: float
    significant: bool


def differences(counted: Mapping[str, np.ndarray], members: np.ndarray) -> list[Difference]:
    """The features, those that differ most first.

    Args:
        counted: features by name, each (n,).
        members: bool (n,), neither all nor none.

    Example:
        >>> found = differences({"mean": np.arange(40.0)}, np.arange(40) >= 20)
        >>> found[0].auc, found[0].significant
        (1.0, True)
    """
    from scipy.stats import mannwhitneyu

    rows = []
    for name, values in counted.items():
        inside, outside = values[members], values[~members]
        test = mannwhitneyu(inside, outside, method="asymptotic")
        auc = float(test.statistic / (len(inside) * len(outside)))
        significant = bool(test.pvalue < ALPHA / len(counted))  # NaN where all are equal: not
        rows.append(Difference(name, float(np.median(inside)), float(np.median(outside)), auc, significant))
    return sorted(rows, key=lambda row: -abs(row.auc - 0.5))


def figures(
    context: CheckContext,
    images: torch.Tensor,
    labels: np.ndarray,
    answers: np.ndarray,
    found: Slice,
    counted: Mapping[str, np.ndarray],
) -> list[Evidence]:
    """Pictures of the group beside others of its classes, what differs, its classes, and all its images as a table."""
    classes, correct = context.target.classes, labels == answers
    held = np.flatnonzero(found.members & found.second)
    held = held[np.argsort(correct[held], kind="stable")]  # the errors first
    others = _same_classes(labels, held[:SHOWN], np.flatnonzero(~found.members & found.second))

    def pictures(title: str, places: np.ndarray) -> list[Evidence]:
        captions = [f"{classes[labels[k]]}{'' if correct[k] else f', answer {classes[answers[k]]}'}" for k in places]
        shown = small(images[torch.from_numpy(places)]).numpy()
        return [evidence.images(title, shown, captions)] if len(places) else []

    wrong = Counter((int(labels[k]), int(answers[k])) for k in held if not correct[k])
    names = image_names(context, held)
    rows = [(name, classes[labels[k]], classes[answers[k]], bool(correct[k])) for name, k in zip(names, held)]
    return [
        *pictures("Images of the group, errors first (from the half that it was not found on)", held[:SHOWN]),
        *pictures("Other images of the same classes", others),
        evidence.bars(
            "Accuracy on the half that the group was not found on",
            {
                "the group": float(correct[found.members & found.second].mean()),
                "all others": float(correct[~found.members & found.second].mean()),
            },
            label="accuracy",
        ),
        evidence.table(
            "What tells the group from the other images (AUC .5: nothing)",
            ("feature", "median in the group", "median of the others", "AUC", "beyond chance"),
            [
                (row.name, float(f"{row.inside:.3g}"), float(f"{row.outside:.3g}"), round(row.auc, 3), row.significant)
                for row in differences(counted, found.members)
            ],
        ),
        evidence.table(
            "Mistakes in the group",
            ("class", "answer", "images"),
            [(classes[a], classes[b], n) for (a, b), n in wrong.most_common(LISTED)],
        ),
        evidence.table("Images of the group", ("image", "class", "answer", "right"), rows, file="group.csv"),
    ]


def _same_classes(labels: np.ndarray, chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each chosen image another of its class, as far as there are some."""
    found: list[int] = []
    for place in chosen:
        found += [int(k) for k in others if labels[k] == labels[place] and int(k) not in found][:1]
    return np.array(found, dtype=int)
