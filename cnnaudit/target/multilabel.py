"""Multi-label classifiers: each label as a question of two classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.numbers import as_array

if TYPE_CHECKING:
    from torch import nn


def one_per_label(
    name: str,
    model: nn.Module,
    splits: Mapping[str, tuple[Any, Any]],
    labels: Sequence[str],
    outputs: str = "binary",
    **settings: Any,
) -> list[AuditTarget]:
    """A target for each label of a multi-label classifier: is it there or not?

    The model's output z of the label becomes the logits (-z / 2, z / 2) of the classes `not LABEL` and `LABEL`.

    Args:
        model: takes pixels in [0, 1], answers (N, L).
        splits: for each split (images, labels), the labels (N, L) of 0 and 1.
        labels: the names of the L labels, in the order of the outputs.
        outputs: `binary` where the model answers logits, `sigmoid` where it ends in a sigmoid.
        settings: of `AuditTarget.from_arrays`.

    Raises:
        DataError: the labels are not (N, L) of 0 and 1.
        ModelError: the model does not answer so.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> images, present = torch.rand(4, 1, 4, 4), [[0, 1], [1, 1], [1, 0], [0, 0]]
        >>> [target.classes for target in one_per_label("x-ray", net, {"validation": (images, present)}, ("a", "b"))]
        [('not a', 'a'), ('not b', 'b')]
    """
    from cnnaudit.target.pixels import PixelModel

    present = {key: _present(key, images, found, len(labels)) for key, (images, found) in splits.items()}
    targets = []
    for k, label in enumerate(labels):
        own = {key: (images, present[key][:, k]) for key, (images, _) in splits.items()}
        shape = as_array("images", next(iter(own.values()))[0]).shape
        asked = PixelModel(model, InputSpec(channels=shape[1] if len(shape) == 4 else 1, size=(1, 1)), (k,), outputs)
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label)
        targets.append(AuditTarget.from_arrays(f"{name}-{plain}", asked, own, (f"not {label}", label), **settings))
    return targets


def _present(split: str, images: Any, labels: Any, count: int) -> np.ndarray:
    found = as_array(f"{split}: labels", labels)
    if found.shape != (len(images), count) or not np.isin(found, (0, 1)).all():
        raise DataError(
            f"{split}: expected labels ({len(images)}, {count}) of 0 and 1, got {found.dtype} of shape {found.shape}"
        )
    return found.astype(np.int64)
