"""What becomes of predictions when only the padding's values are replaced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnnaudit.interventions import Call, padding_rule
from cnnaudit.progress import progress

Logits = Callable[[torch.Tensor], torch.Tensor]


def padding_convolutions(observed: Iterable[Call]) -> list[str]:
    """The names of the convolutions that pad, whatever the size of their maps."""
    return [call.name for call in observed if call.kind == "conv2d" and call.geometry and any(call.geometry.padding)]


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What noise in the padding of one layer does: share of predictions changed, mean change of the logits."""

    layer: str
    flips: float
    change: float


def noise_effects(
    model: nn.Module,
    logits: Logits,
    images: torch.Tensor,
    layers: Sequence[str],
    generator: torch.Generator,
) -> list[LayerEffect]:
    """For each layer alone, what uniform noise from the range of its own input does in the place of its padding.

    The change is the mean absolute difference of the logits in units of their standard deviation.

    Args:
        logits: answers (N, K) to images; runs `model`.

    Returns:
        The effects, largest first (by share changed, then by change).

    Source: Garriga, Studying the characterisation of deep CNN neurons, 2019 (duality experiment).
    """
    base = logits(images)
    scale = float(base.std()) or 1.0
    effects = []
    for layer in progress(layers, "padding noise, layer by layer", len(layers)):
        with padding_rule("noise", model=model, layers=[layer], generator=generator):
            changed = logits(images)
        flips = float((changed.argmax(1) != base.argmax(1)).double().mean())
        effects.append(LayerEffect(layer, flips, float((changed - base).abs().mean()) / scale))
    return sorted(effects, key=lambda effect: (-effect.flips, -effect.change))


def replicate_predictions(logits: Logits, images: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """The predicted classes, int64 (N,), when every convolution pads with the nearest pixel.

    Args:
        logits: answers (N, K) to images; runs `model`.
    """
    with padding_rule("replicate", model=model):
        return logits(images).argmax(1)


def noise_predictions(
    logits: Logits, images: torch.Tensor, model: nn.Module, layer: str, generator: torch.Generator
) -> torch.Tensor:
    """The predicted classes, int64 (N,), when the padding of one layer alone holds noise from its input's range."""
    with padding_rule("noise", model=model, layers=[layer], generator=generator):
        return logits(images).argmax(1)


def untrained_twin(model: nn.Module, images: torch.Tensor, seed: int) -> nn.Module | None:
    """A copy of the model with freshly drawn parameters, its batch statistics measured on the images.

    Parameters are drawn by the `reset_parameters` of their modules, which is torch's own initialization and not
    necessarily the one that the model's author chose. None where some parameters belong to no such module (exported
    graphs, bare `nn.Parameter`). The global random state is left as it was.

    Args:
        images: (N, C, H, W) on the model's device.
    """
    twin = copy.deepcopy(model)
    resettable = [module for module in twin.modules() if callable(getattr(module, "reset_parameters", None))]
    drawn = {id(p) for module in resettable for p in module.parameters(recurse=False)}
    if any(id(p) not in drawn for p in twin.parameters()):
        return None
    normalizations = [module for module in resettable if isinstance(module, _BatchNorm)]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in resettable:
            module.reset_parameters()  # type: ignore[operator]
        for module in normalizations:
            module.momentum = None  # the cumulative mean of what it sees
            module.train()
        if normalizations:
            twin(images)
    for module in normalizations:
        module.eval()
    return twin
