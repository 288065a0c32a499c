"""What a layer answers to images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from cnnaudit.interventions import run_until
from cnnaudit.interventions.images import cpu_size
from cnnaudit.interventions.modes import evaluating
from cnnaudit.optimization import LOGITS

GRAY = 0.5


def heights(model: nn.Module, images: torch.Tensor, layer: str) -> np.ndarray:
    """Each unit's largest value anywhere in its map, (N, units)."""
    result: np.ndarray = answers(model, images, layer, highest).double().numpy()
    return result


def answers(
    model: nn.Module, images: torch.Tensor, layer: str, kept: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """What `kept` leaves of a layer's answers (n, ...) to the images, batch by batch, on the CPU."""
    device, found = device_of(model), []
    with torch.no_grad(), evaluating(model):
        for batch in images.split(cpu_size(images.cpu(), 64)):  # type: ignore[no-untyped-call]
            given = batch.to(device)
            found.append(kept(model(given) if layer == LOGITS else run_until(model, given, layer)).float().cpu())
    return torch.cat(found)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def highest(values: torch.Tensor) -> torch.Tensor:
    """The largest value of each map, or each value that has none, (N, units)."""
    return values.flatten(2).amax(2) if values.ndim == 4 else values
