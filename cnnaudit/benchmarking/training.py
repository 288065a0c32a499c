"""What is timed of training: an epoch of many models in a stack, and an epoch of one module in a plain loop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from cnnaudit.benchmarking.workloads import Workload
from cnnaudit.core.errors import ModelError
from cnnaudit.data import shapes
from cnnaudit.training.stacked.loop import Plan, train_stack
from cnnaudit.training.stacked.minimum import MinimumModels, design_of
from cnnaudit.training.stacked.start import start_of

_BATCH, _BATCHES = 32, 20


def stacked_training(architecture: Callable[[], nn.Module], models: int = 128, device: str = "cpu") -> Workload:
    """An epoch of that many minimum models as `train_stacked` trains them: 20 batches of 32 noisy shapes, 28x28.

    Example:
        >>> from cnnaudit.models import minimum
        >>> stacked_training(minimum, models=2).name
        'stack of 2'
    """
    start = start_of(architecture, _data(), None, list(range(models)), [0.01] * models, (), {}, device)
    images, labels = start.data
    template = architecture().to(device)
    design = design_of(template)
    if design is None:
        raise ModelError("stacked_training: expected a minimum model")
    kernel = MinimumModels(template, design, images, labels)
    weights, rates, trainable = (part.to(device) for part in (start.weights, start.rates, start.trainable))
    plan = Plan(1, _BATCH, "constant", None, 0.0, 0)

    def run() -> object:
        return train_stack(kernel, labels, weights, {}, rates, trainable, plan)

    return Workload(f"stack of {models}", run, *_needs(template, models))


def looped_training(architecture: Callable[[], nn.Module], device: str = "cpu") -> Workload:
    """The same epoch of one module, with autograd and PyTorch's fused Adam.

    Example:
        >>> from cnnaudit.models import minimum
        >>> looped_training(minimum).name
        'plain loop'
    """
    images, labels = (part.to(device) for part in _data())
    model = architecture().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0, fused=True)
    batches = torch.arange(len(images), device=device).view(_BATCHES, _BATCH)

    def run() -> None:
        for batch in batches:
            loss = functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return Workload("plain loop", run, 0.0, _needs(model, 1)[1])


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    """As many noisy shapes as the batches hold, in mixed order."""
    drawn = shapes("rotation", n_per_class=_BATCH * _BATCHES)
    order = torch.randperm(len(drawn.images), generator=torch.Generator().manual_seed(0))[: _BATCH * _BATCHES]
    return torch.from_numpy(drawn.images)[order], torch.from_numpy(drawn.labels)[order]


def _needs(model: nn.Module, models: int) -> tuple[float, float]:
    """Operations and bytes of the definition: each multiply-add forward, by input and by weight; images read once."""
    pixels = 28 * 28
    convolution, *dense = (p for p in model.parameters() if p.ndim > 1)
    products = pixels * convolution.numel() + sum(weight.numel() for weight in dense)
    return 6.0 * products * models * _BATCH * _BATCHES, 4.0 * pixels * _BATCH * _BATCHES
