"""The derivative of the score of one batch with respect to its pixels.

On a CPU the pass is laid out in `torch.channels_last`, which is faster. It follows the caller's `torch.autocast`: in
bfloat16 it takes about half the time, with an error of a few percent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from cnnaudit.attribution.scores import ClassIndex, Unit, activations, scores
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import relu_rule
from cnnaudit.interventions.map_layout import map_reader
from cnnaudit.interventions.memory_format import bears_channels_last
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import refuse_hidden
from cnnaudit.interventions.parameters import ConstantParameters

Rule = Literal["gradient", "deconvnet", "guided", "interaction"]


def input_gradient(
    model: nn.Module,
    batch: torch.Tensor,
    class_index: ClassIndex = None,
    layer: str | None = None,
    unit: Unit = None,
    rule: Rule = "gradient",
) -> torch.Tensor:
    """The gradient of one batch; deconvnet and guided begin at a layer with the unit's own activations."""
    layout = _layout(model, batch, layer)
    maps = None if layer is None else map_reader(model, batch, layer)
    with differentiable(model, rule) as observed:
        pixels = batch.detach().clone().requires_grad_()
        seen = pixels.contiguous(memory_format=layout) if observed and layout is not torch.preserve_format else pixels
        if layer is not None and rule != "gradient":
            score = activations(model, seen, layer, unit, class_index, maps)
            start = score.detach()
        else:
            score = scores(model, seen, class_index, layer, unit, maps)
            start = torch.ones_like(score)
        return slope(score, pixels, start)


def slope(score: torch.Tensor, pixels: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The gradient of the score, begun with `start`, with respect to the pixels; zero where it does not depend on them.

    Raises:
        UnsupportedError: no differentiable calls lead to the score.
    """
    if not score.requires_grad:
        raise UnsupportedError(
            "the score does not depend on the images by differentiable calls (an ONNX model, or a forward pass "
            "under no_grad or through detach or argmax); occlusion and LIME need no gradient"
        )
    (found,) = torch.autograd.grad(score, pixels, start, allow_unused=True)
    return torch.zeros_like(pixels) if found is None else found


@contextmanager
def differentiable(model: nn.Module, rule: Rule = "gradient") -> Iterator[bool]:
    """Gradients of the images enabled, those of the weights left out, ReLUs by that rule; the model is not touched.

    Yields whether the model's calls are observed, without which autograd alone gives the gradient.
    """
    with evaluating(model), torch.enable_grad():  # also the backward pass, which may run parts of the model again
        if rule == "gradient":
            try:
                refuse_hidden(model.modules())
            except UnsupportedError:  # autograd alone is right where the model hides its calls
                yield False
                return
        with relu_rule(model, rule), ConstantParameters():
            yield True


def _layout(model: nn.Module, batch: torch.Tensor, layer: str | None) -> torch.memory_format:
    """The memory format in which convolutions of that batch are fastest, if the model answers the same in it."""
    large = batch.shape[1] > 1 and batch.shape[-2] * batch.shape[-1] >= 64 * 64
    worthwhile = batch.device.type == "cpu" and batch.dtype in (torch.float32, torch.bfloat16) and large
    if not worthwhile:
        return torch.preserve_format
    last = bears_channels_last(model, batch, layer=layer, views=True)
    return torch.channels_last if last else torch.contiguous_format
