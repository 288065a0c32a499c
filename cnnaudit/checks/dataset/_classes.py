"""Labels and classes as the checks of `dataset` ask for and report them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Location

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks import CheckContext

THESIS = "España (2021), Sensitivity analysis of the CNN learning process using synthetic images"
SHOWN_CLASSES = 10


def labels_of(sample: tuple[torch.Tensor, torch.Tensor], split: str) -> np.ndarray:
    """The labels of a sample, int64 (n,).

    Raises:
        UnsupportedError: they are of fewer than two classes.
    """
    labels: np.ndarray = sample[1].numpy()
    found = len(np.unique(labels))
    if found < 2:
        raise UnsupportedError(f"telling classes apart needs images of two of them in data.{split}, found {found}")
    return labels


def answers_of(context: CheckContext, split: str) -> np.ndarray:
    """The classes that the model predicts for the sample, int64 (n,)."""
    predicted: np.ndarray = context.predictions(split).argmax(1).numpy()
    return predicted


def locate_classes(names: Sequence[str], values: np.ndarray, worst: int, bad: np.ndarray) -> list[Location]:
    """The worst class, then up to nine others that are bad as well."""
    others = [k for k in range(len(names)) if bad[k] and k != worst]
    return [Location(float(values[k]), class_name=names[k]) for k in [worst, *others[: SHOWN_CLASSES - 1]]]
