"""The shared validation images, their labels and names, as the checks of `behavior` ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

LISTED = 20  # classes, groups or locations in a finding
THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"


def sampled_images(context: CheckContext, least: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """The shared validation images and their labels.

    Raises:
        UnsupportedError: there are fewer than `least`.
    """
    images, labels = context.sample("validation")
    if len(images) < least:
        count = f"{len(images)} image{'' if len(images) == 1 else 's'}"
        raise UnsupportedError(f"the validation split has {count}; this question needs {least} or more")
    return images, labels


def labels_and_predictions(context: CheckContext) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes of the shared validation images, int64 (n,)."""
    _, labels = sampled_images(context)
    return labels.numpy(), context.predictions("validation").argmax(1).numpy()


def image_names(context: CheckContext, positions: np.ndarray) -> list[str]:
    """The names of the images at those positions of the shared sample."""
    split = context.target.split("validation")
    return [split.name(int(index)) for index in context.indices("validation")[positions]]
