"""The same units optimized at several moments of a training: when a unit learns what it looks for."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.pages.atlas._optima import Optima, Settings, optima

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Snapshots:
    """The optimized images of some units at each checkpoint.

    Attributes:
        names: of the checkpoints, in the order of the training.
        optima: of each checkpoint, of the same units.
    """

    layer: str
    names: tuple[str, ...]
    optima: tuple[Optima, ...]


def over_training(
    model: nn.Module,
    layer: str,
    units: Sequence[int],
    checkpoints: Mapping[str, Mapping[str, torch.Tensor]],
    settings: Settings,
    *,
    batch_size: int = 32,
) -> Snapshots:
    """Maximize the same units with the weights of several checkpoints, from the same first images.

    Args:
        model: whose weights the checkpoints are; it is copied and left alone.
        checkpoints: state dicts by name (`epoch 1` …), in the order of the training.

    Raises:
        AuditError: no checkpoint; what `maximize` raises.
        ModelError: a checkpoint is not of this model.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> states = {name: lenet().state_dict() for name in ("start", "end")}
        >>> found = over_training(lenet(), "conv1", [0, 3], states, Settings((1, 16, 16), steps=8))
        >>> found.names, found.optima[0].images.shape
        (('start', 'end'), (2, 1, 16, 16))
    """
    from cnnaudit.core.progress import progress

    if not checkpoints:
        raise AuditError("no checkpoint: give the weights of at least one moment of the training")
    changed = copy.deepcopy(model)
    found = []
    for name, state in progress(checkpoints.items(), f"{layer} over the training", len(checkpoints)):
        try:
            changed.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(f"checkpoint {name}: not the weights of this model: {error}") from error
        parts = [
            optima(changed, layer, list(units[k : k + batch_size]), "maximum", settings)
            for k in range(0, len(units), batch_size)
        ]
        found.append(_joined(parts))
    return Snapshots(layer, tuple(checkpoints), tuple(found))


def _joined(parts: Sequence[Optima]) -> Optima:
    import numpy as np

    return Optima(*(np.concatenate([getattr(part, name) for part in parts]) for name in Optima.__dataclass_fields__))
