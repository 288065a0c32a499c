"""The four minimum models of the thesis (España 2021, Table I), and how the studies train networks like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnaudit.data import reference
from cnnaudit.studies.study import Effort

if TYPE_CHECKING:
    import torch


SOURCE = "I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"


@dataclass(frozen=True, slots=True)
class MinimumModel:
    """A line of Table I: arguments of `cnnaudit.models.minimum`, parameters, accuracies and what the data set shows."""

    arguments: Mapping[str, Any]
    parameters: int
    train_accuracy: float
    validation_accuracy: float
    shows: str


TABLE_I = {
    "1.3": MinimumModel({}, 16, 1.0, 0.999, "scaling"),
    "2.1": MinimumModel({}, 16, 0.648, 0.642, "rotation"),
    "3.0": MinimumModel({"pool": 14, "hidden": 12}, 109, 0.940, 0.930, "scaling and noise"),
    "4.0": MinimumModel({"pool": 7, "hidden": 16}, 333, 0.994, 0.988, "rotation and noise"),
}
Split = tuple["torch.Tensor", "torch.Tensor"]


def splits(dataset: str, effort: Effort, **changes: Any) -> tuple[Split, Split]:
    """Training and validation images of a data set of the thesis, each (images, labels), as large as the effort says.

    Args:
        changes: arguments of `cnnaudit.data.reference` that make it another data set.
    """
    import torch

    drawn = [
        reference(dataset, split, n_per_class=number, **changes)
        for split, number in (("train", effort.train), ("validation", effort.validation))
    ]
    train, validation = ((torch.from_numpy(data.images), torch.from_numpy(data.labels)) for data in drawn)
    return train, validation
