"""Copies of a network with random weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_LIVE = 1e-6
_DRAWS = 20


def weighted_layers(model: nn.Module) -> list[str]:
    """The modules with parameters of their own, in the order of `named_modules()`: from the input to the output."""
    return [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]


def randomized(
    model: nn.Module, images: torch.Tensor, generator: torch.Generator, layers: Sequence[str] | None = None
) -> nn.Module:
    """A copy of the model whose weights are drawn anew, and whose units still answer to the images.

    Tensors of two and more axes (kernels, matrices) are drawn from a normal distribution with their own root mean
    square, so that the activations keep their scale beside the biases; vectors (biases, the factors of normalizations)
    are permuted. Batch statistics are measured again on the images. Small random networks are often dead, their answer
    the same for all images; such a copy says nothing about a method, and is drawn again, up to 20 times.

    Args:
        images: (N, C, H, W), what the statistics are measured and the life is tested on.
        layers: names of `weighted_layers` to draw anew; None: all.

    Returns:
        A copy in `eval()` mode; the model is left as it was.

    Source: Adebayo et al. 2018 (arXiv 1810.03292), model parameter randomization.
    """
    names = weighted_layers(model) if layers is None else layers
    for _ in range(_DRAWS):
        twin = copy.deepcopy(model)
        modules = dict(twin.named_modules())
        with torch.no_grad():
            for name in names:
                for parameter in modules[name].parameters(recurse=False):
                    _draw(parameter, generator)
            _measure_batch_statistics(twin, images)
            answer = twin(images).float()
        if torch.isfinite(answer).all() and answer.std(0).max() > _LIVE * answer.abs().max():
            break
    return twin


def _draw(parameter: nn.Parameter, generator: torch.Generator) -> None:
    """New values for one parameter, drawn on the CPU so that they are the same on every device."""
    if parameter.dim() > 1:
        drawn = torch.randn(parameter.shape, generator=generator) * float(parameter.float().square().mean().sqrt())
        parameter.copy_(drawn)
    elif parameter.numel() > 1:
        parameter.copy_(parameter[torch.randperm(len(parameter), generator=generator).to(parameter.device)])


def _measure_batch_statistics(model: nn.Module, images: torch.Tensor) -> None:
    """Let the batch normalizations take the mean and variance of these images."""
    normalizations = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not normalizations:
        return
    for module in normalizations:
        module.reset_running_stats()
        module.momentum = None  # the cumulative mean of what it sees
        module.train()
    model(images.clone())
    for module in normalizations:
        module.eval()
