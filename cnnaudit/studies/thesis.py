"""The four minimum models of the thesis (España 2021, Table I), and how the studies train networks like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnaudit.data import reference
from cnnaudit.references import published
from cnnaudit.studies.study import Effort

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class MinimumModel:
    """A line of Table I: arguments of `cnnaudit.models.minimum`, parameters, accuracies and what the data set shows."""

    arguments: Mapping[str, Any]
    parameters: int
    train_accuracy: float
    validation_accuracy: float
    shows: str


def _line(dataset: str, arguments: Mapping[str, Any], shows: str) -> MinimumModel:
    parameters, _, train, validation = published(f"minimum.{dataset}").values
    return MinimumModel(arguments, int(parameters), train, validation, shows)


TABLE_I = {
    "1.3": _line("1.3", {}, "scaling"),
    "2.1": _line("2.1", {}, "rotation"),
    "3.0": _line("3.0", {"pool": 14, "hidden": 12}, "scaling and noise"),
    "4.0": _line("4.0", {"pool": 7, "hidden": 16}, "rotation and noise"),
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
