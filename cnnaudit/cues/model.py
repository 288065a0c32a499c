"""Labelled images, and a classifier that is asked no more than its budget allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.cues.protocol import Predict

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled images.

    Attributes:
        images: (N, C, H, W) in [0, 1].
        labels: int64 (N,).
    """

    images: Tensor
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, rows: np.ndarray) -> Sample:
        """Some of the images."""
        return Sample(self.images[torch.as_tensor(rows, device=self.images.device)], self.labels[rows])

    def halves(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """Two halves without a common image, each with half of every class: one to search, one to confirm."""
        order = rng.permutation(len(self.labels))
        order = order[np.argsort(self.labels[order], kind="stable")]
        return self.part(np.sort(order[::2])), self.part(np.sort(order[1::2]))


class Model:
    """A classifier as a black box that counts what it is asked and stops at its budget.

    Args:
        predict: images (N, C, H, W) in [0, 1] -> logits or probabilities (N, K).
        budget: forward passes (images) that it may be asked for; None for no limit.
        are_probabilities: whether `predict` answers with probabilities; None to tell from each batch of answers, which
            are probabilities where none is negative and all rows add up to 1.
    """

    def __init__(self, predict: Predict, budget: int | None = None, are_probabilities: bool | None = None) -> None:
        self._are_probabilities = are_probabilities
        self._predict = predict
        self._budget = budget
        self.passes = 0

    def affords(self, images: int) -> bool:
        """Whether the budget holds for that many images more."""
        return self._budget is None or self.passes + images <= self._budget

    @property
    def left(self) -> int | None:
        """Forward passes left; None without a limit."""
        return None if self._budget is None else self._budget - self.passes

    def probabilities(self, images: Tensor) -> np.ndarray:
        """Class probabilities, float64 (N, K).

        Raises:
            UnsupportedError: the budget does not hold for these images.
            ModelError: an answer that is not a finite (N, K).
        """
        if not self.affords(len(images)):
            raise UnsupportedError(f"{len(images)} forward passes are needed and {self.left} are left of the budget")
        with torch.no_grad():
            answers = torch.cat([self._predict(batch).detach().float().cpu() for batch in torch.split(images, _BATCH)])
        self.passes += len(images)
        if answers.ndim != 2 or len(answers) != len(images) or not bool(answers.isfinite().all()):
            raise ModelError(
                f"expected finite logits or probabilities of shape ({len(images)}, K), got {tuple(answers.shape)}"
            )
        ready = self._are_probabilities
        if ready is None:
            ready = bool((answers >= 0).all()) and bool(((answers.sum(dim=1) - 1).abs() < 1e-3).all())
        found: np.ndarray = (answers if ready else answers.softmax(dim=1)).double().numpy()
        return found
