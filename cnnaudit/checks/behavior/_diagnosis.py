"""Why a model misses its accuracy: cheap trials of the usual mistakes in its description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import AuditError

if TYPE_CHECKING:
    import torch

SIGNIFICANT = 0.001
NAMED = 20  # classes written out


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change of the description under which more images are right: what was changed, and `right` before and after."""

    what: str
    before: int
    after: int
    n: int

    @property
    def share(self) -> float:
        """Share of the `n` images that are right after the change."""
        return self.after / self.n


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How many images of each class (row) are predicted as each class (column), int (K, K).

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_order(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str], rng: np.random.Generator
) -> Mistake | None:
    """The order of classes that explains the predictions better than the given one, where one does so clearly.

    Half of the images choose the one-to-one matching of predicted with true classes that makes most of them right
    (linear assignment on their confusion matrix); the other half says how many it makes right, and whether that is
    significantly more (exact McNemar test), so that a chance matching of many classes is not taken for a finding.

    Returns:
        The order in words, the class that each logit stands for, with the numbers on the second half; or None.
    """
    from scipy.optimize import linear_sum_assignment

    first = np.zeros(len(labels), dtype=bool)
    first[rng.permutation(len(labels))[: len(labels) // 2]] = True
    k = len(classes)
    counts = confusion(labels[first], predicted[first], k)
    # ties go to the given order
    order = linear_sum_assignment(counts.T + np.eye(k) / (2 * k), maximize=True)[1]
    names = ", ".join(repr(classes[i]) for i in order[:NAMED]) + (", ..." if k > NAMED else "")
    before, after = labels[~first] == predicted[~first], labels[~first] == order[predicted[~first]]
    return _compare(f"data.classes = [{names}]", before, after)


def input_mistake(
    answer: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, labels: torch.Tensor, predicted: torch.Tensor
) -> Mistake | None:
    """The change of the pixels that makes most images right, where it makes significantly more right.

    Tried are: channels reversed, pixels up to 255, black and white exchanged.
    """
    changes: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "the other input.order": lambda pixels: pixels.flip(1),
        "input.scale = 255": lambda pixels: 255 * pixels,
        "black and white exchanged": lambda pixels: 1 - pixels,
    }
    found = []
    for what, change in changes.items():
        try:
            right = (answer(change(images)).argmax(1) == labels).numpy()
        except AuditError:  # a trial that the model cannot answer explains nothing
            continue
        found.append(_compare(what, (predicted == labels).numpy(), right))
    return max((mistake for mistake in found if mistake), key=lambda mistake: mistake.share, default=None)


def _compare(what: str, before: np.ndarray, after: np.ndarray) -> Mistake | None:
    """The mistake, where more images are right afterwards than chance explains (exact McNemar test)."""
    from scipy.stats import binom

    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    if binom.sf(gained - 1, gained + lost, 0.5) > SIGNIFICANT:
        return None
    return Mistake(what, int(before.sum()), int(after.sum()), len(before))
