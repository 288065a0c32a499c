"""What several checks of `behavior` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget


LISTED = 20  # classes, groups or locations in a finding


_THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"


def _images(context: CheckContext, least: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """The shared validation sample, refused where it is too small to say anything."""
    images, labels = context.sample("validation")
    if len(images) < least:
        raise UnsupportedError(f"the validation split has {len(images)} images; this question needs {least} or more")
    return images, labels


def _answers(context: CheckContext) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes of the shared validation sample, int64 (n,)."""
    _, labels = _images(context)
    return labels.numpy(), context.predictions("validation").argmax(1).numpy()


def _names(target: AuditTarget, context: CheckContext, positions: np.ndarray) -> list[str]:
    """The names of images at those positions of the shared sample."""
    split = target.split("validation")
    return [split.name(int(index)) for index in context.indices("validation")[positions]]
