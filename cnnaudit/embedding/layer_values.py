"""What layers answer to images, one row of numbers per image: maps, tokens or dense layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.memory import CPU_BATCH_PIXELS
from cnnaudit.interventions import record
from cnnaudit.interventions.batches import forward, in_batches
from cnnaudit.interventions.modes import evaluating

MOST = 4_096  # numbers of an image; larger maps are averaged over squares


def layer_values(
    model: nn.Module, images: torch.Tensor, layers: Sequence[str], *, batch_size: int = 64, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """The values of each layer, float32 (n, d), in one pass for all of them.

    Outputs are flattened. Maps of more than 4,096 numbers are averaged over squares of places until they have fewer,
    other outputs are taken as they are.

    Args:
        images: float (n, C, H, W) in [0, 1].
        layers: modules, or calls as `interventions.calls` names them; dense layers too.

    Raises:
        LayerError: the model has no such layer; near names are told.
        UnsupportedError: a layer answers no floating-point numbers per image, or the model hides its calls.

    Example:
        >>> from cnnaudit.models import lenet
        >>> found = layer_values(lenet(), torch.rand(3, 1, 28, 28), ["conv1", "hidden"])
        >>> found["conv1"].shape, found["hidden"].shape
        ((3, 3872), (3, 128))
    """

    def read(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with record(model, layers) as values:
            forward(model, batch.to(device))
        return tuple(_rows(name, values[name], len(batch)).cpu() for name in layers)

    size = batch_size
    if device == "cpu":
        size = max(1, min(size, CPU_BATCH_PIXELS // (images.shape[2] * images.shape[3])))
    with torch.no_grad(), evaluating(model):
        found = in_batches(read, images, batch_size=size, bound=getattr(model, "batch", None))
    return {name: rows.numpy() for name, rows in zip(layers, found)}


def _rows(name: str, value: torch.Tensor, n: int) -> torch.Tensor:
    """The output of a layer as (n, d)."""
    if not value.is_floating_point() or value.ndim < 2 or len(value) != n or not value[0].numel():
        raise UnsupportedError(
            f"layer {name!r} answers {value.dtype} {tuple(value.shape)} to {n} images, which holds no numbers for each"
        )
    if value.ndim == 4 and math.prod(value.shape[1:]) > MOST:
        shrink = math.sqrt(MOST / math.prod(value.shape[1:]))
        rows, columns = (max(1, int(side * shrink)) for side in value.shape[2:])
        value = functional.adaptive_avg_pool2d(value, (rows, columns))
    return value.flatten(1).float()
