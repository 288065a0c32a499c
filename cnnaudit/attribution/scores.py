"""The number that is explained: a class's logit, or the activation of a unit."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.interventions import run_until
from cnnaudit.interventions.map_layout import Reader, map_reader
from cnnaudit.interventions.modes import evaluating

ClassIndex = int | Sequence[int] | np.ndarray | np.integer[Any] | torch.Tensor | None
Unit = int | tuple[int, int, int] | None


def scores(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    layer: str | None = None,
    unit: Unit = None,
    maps: Reader | None = None,
) -> torch.Tensor:
    """The score of each image, (N,), differentiable with respect to the images where gradients are enabled.

    Without a layer the logit of a class: the predicted one (None), the same for all (an integer of Python, NumPy or
    torch) or one for each image (a list, array or tensor of N). With a layer (named as in `interventions.calls`) the
    activation of its unit: a channel summed over its plane (int), one position of it (channel, row, column), or one
    number of a layer (N, F); what follows the layer is not computed. A layer may hold its maps as (N, C, H, W),
    (N, H, W, C) or as tokens, see `interventions.map_layout`.

    Args:
        maps: how to read the layer, from `map_reader`; None: found by a pass of the first image, which other
            interventions around this call would see too.

    Raises:
        AuditError: a class or a unit that does not exist, a position in a layer without maps, or a class and a layer.
        ModelError: the model answers anything but finite logits (N, K).
        LayerError: the model has no such layer (near names are listed), or the pass does not reach it.
        UnsupportedError: the model hides its calls, so that no layer can be named; or which axes of the layer are
            channels and places is not established.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> bool((scores(net, images, 1) == net(images)[:, 1]).all())
        True
        >>> bool((scores(net, images, layer="0", unit=3) == images[:, 0, 1, 1]).all())
        True
    """
    if layer is not None:
        return activations(model, images, layer, unit, class_index, maps).reshape(len(images), -1).sum(1)
    if unit is not None:
        raise AuditError(f"unit {unit}: name its layer too")
    logits = finite_logits(model, images)
    return logits.gather(1, indices(logits, class_index)[:, None])[:, 0]


def activations(
    model: nn.Module,
    images: torch.Tensor,
    layer: str,
    unit: Unit,
    class_index: ClassIndex = None,
    maps: Reader | None = None,
) -> torch.Tensor:
    """The unit's activation: (N,) for one number, (N, H, W) for the map of a channel. Errors as in `scores`."""
    if class_index is not None:
        raise AuditError(f"either a class ({class_index}) or a unit of the layer {layer!r} can be explained, not both")
    maps = maps or map_reader(model, images.detach(), layer)
    output = maps(run_until(model, images, layer))
    if output.ndim not in (2, 4) or len(output) != len(images):
        raise AuditError(f"layer {layer!r} answers {tuple(output.shape)}; expected maps (N, C, H, W) or (N, F)")
    if unit is None:
        raise AuditError(f"layer {layer!r}: name a unit of it, 0 to {output.shape[1] - 1}")
    where = _position(unit)
    if len(where) > 1 and output.ndim == 2:
        raise AuditError(f"layer {layer!r} is not spatial, it answers {tuple(output.shape)}: a unit is a single number")
    if len(where) not in (1, 3):
        raise AuditError(f"unit {unit}: expected a channel, or (channel, row, column)")
    for position, size, axis in zip(where, output.shape[1:], ("channel", "row", "column")):
        if not 0 <= position < size:
            raise AuditError(f"unit {unit} of layer {layer!r}: {axis} {position} is out of range, 0 to {size - 1}")
    chosen: torch.Tensor = output[:, where[0]] if len(where) == 1 else output[:, where[0], where[1], where[2]]
    return chosen


def _position(unit: Any) -> tuple[int, ...]:
    """The unit as one number or several; those of NumPy and torch are numbers too."""
    try:
        return (operator.index(unit),)
    except (TypeError, ValueError):
        pass
    try:
        return tuple(operator.index(number) for number in unit)
    except TypeError:
        raise AuditError(f"unit {unit!r}: expected a channel, or (channel, row, column)") from None


def class_indices(model: nn.Module, images: torch.Tensor, class_index: ClassIndex) -> torch.Tensor:
    """The class explained for each image, int64 (N,) on its device; None: the predicted ones. Errors as in `scores`."""
    if class_index is not None and not isinstance(class_index, int):
        return one_each(class_index, images)
    with torch.no_grad():
        return indices(finite_logits(model, images), class_index)


def one_each(class_index: Any, images: torch.Tensor) -> torch.Tensor:
    """The classes as int64 (N,) on the device of the images, of a number for all of them or one for each."""
    try:
        index = torch.as_tensor(class_index, device=images.device)
    except (TypeError, ValueError, RuntimeError):
        raise AuditError(f"class_index: expected an integer or one for each image, got {class_index!r}") from None
    if index.ndim == 0:
        index = index.expand(len(images))
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if tuple(index.shape) != (len(images),) or not whole:
        raise AuditError(
            f"class_index: expected an integer or integers ({len(images)},), got {index.dtype} {tuple(index.shape)}"
        )
    return index.detach().long().clone()  # one made under inference_mode could not be part of a graph


def indices(logits: torch.Tensor, class_index: ClassIndex) -> torch.Tensor:
    """The class of each row of the logits, int64 (N,)."""

    if class_index is None:
        return logits.detach().argmax(1)
    index = one_each(class_index, logits)
    wrong = index[(index < 0) | (index >= logits.shape[1])]
    if len(wrong):
        raise AuditError(
            f"class_index {int(wrong[0])} is out of range: the model has classes 0 to {logits.shape[1] - 1}"
        )
    return index


def finite_logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The model's answer in evaluation mode, refused where it is not finite logits (N, K)."""
    with evaluating(model):
        logits = model(images)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(f"expected logits of shape ({len(images)}, classes), the model returned {got}")
    if not torch.isfinite(logits).all():
        raise ModelError(f"the model returned NaN or infinite logits for {len(images)} images")
    return logits
