"""What becomes of predictions when only the padding's values are replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnnaudit.core.progress import progress
from cnnaudit.interventions import Call, padding_rule

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
