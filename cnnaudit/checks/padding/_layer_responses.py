"""The responses of a network's layers, with its own and with replicate padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import nn

from cnnaudit.core.progress import progress
from cnnaudit.interventions import padding_rule, record
from cnnaudit.interventions.modes import evaluating


def responses(
    model: nn.Module, images: torch.Tensor, layers: Mapping[str, str], replicate: bool = False
) -> dict[str, torch.Tensor]:
    """The responses of the layers to one batch, by convolution, with the model's own or with replicate padding."""
    n, bound = len(images), getattr(model, "batch", None)
    if bound:  # a network from torch.export may take one batch size only
        images = torch.cat([images, images[-1:].expand(bound - n, -1, -1, -1)])
    padding = padding_rule("replicate", model=model) if replicate else nullcontext()
    with evaluating(model), torch.no_grad(), padding, record(model, sorted(set(layers.values()))) as values:
        model(images)
    return {name: values[response][:n] for name, response in layers.items()}


def batches(model: nn.Module, images: torch.Tensor, size: int, device: str, description: str) -> Iterator[torch.Tensor]:
    """Batches of images on the device, no larger than the model takes."""
    size = getattr(model, "batch", None) or size
    starts = range(0, len(images), size)
    for start in progress(starts, description, len(starts)):
        yield images[start : start + size].to(device)
