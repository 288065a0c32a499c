"""What came of a training: the numbers of each epoch, and the predictions at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.training.plan import Plan

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images.

    Attributes:
        loss, accuracy: mean over the batches as they were trained on, with dropout and augmentation.
        validation_loss, validation_accuracy: on the whole validation split, after the epoch.
        learning_rate: at its start.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float


@dataclass(frozen=True, eq=False)
class Course:
    """All epochs of a training.

    Attributes:
        chosen: number of the epoch whose weights the network has at the end: the last, or with `patience` the best.
        predicted: the classes that it predicts for the validation images, int64 (N,).
    """

    plan: Plan
    epochs: tuple[Epoch, ...]
    chosen: int
    predicted: np.ndarray

    @property
    def end(self) -> Epoch:
        """The epoch whose weights were taken."""
        return self.epochs[self.chosen - 1]

    def to_frame(self) -> pandas.DataFrame:
        """One row per epoch, in the columns of `Epoch`."""
        import pandas

        return pandas.DataFrame([asdict(epoch) for epoch in self.epochs], columns=[f.name for f in fields(Epoch)])


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How many images of each class (row) were predicted as each class (column), int64 (K, K).

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    counted = np.bincount(np.asarray(labels) * classes + np.asarray(predicted), minlength=classes**2)
    return np.asarray(counted.reshape(classes, classes), dtype=np.int64)
