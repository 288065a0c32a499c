"""The layers of a model that have maps: what they are called, and their values in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.wording import listed
from cnnaudit.interventions import Call, calls, record, stop_at
from cnnaudit.interventions.batches import fill_batch, forward, in_batches
from cnnaudit.interventions.images import cpu_size, require_images
from cnnaudit.interventions.map_layout import Trace
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.op_types import ACTIVATIONS

_KINDS = {
    *("conv2d", "conv_transpose2d", "batch_norm", "group_norm", "instance_norm", "add", "cat", "interpolate"),
    *("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "lp_pool2d", "sigmoid", "tanh"),
}


def spatial_layers(model: nn.Module, images: torch.Tensor) -> list[Call]:
    """The convolutions, normalizations, activations, poolings and joins of a pass whose output is (N, C, H, W).

    Arithmetic such as the normalization of the pixels is left out; `interventions.calls` lists every call. Outputs of
    four axes that are something else, such as (N, H, W, C) or the heads of attention, do not count: which axes are
    places is established by `layout`.

    Args:
        images: float (N, C, H, W); the first one is enough.

    Raises:
        UnsupportedError: the model hides its calls, or has no such layer.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> [(call.name, call.output_shape) for call in spatial_layers(net, torch.rand(1, 1, 5, 5))]
        [('0', (1, 2, 3, 3)), ('1', (1, 2, 3, 3))]
    """
    with evaluating(model):
        observed = calls(model, fill_batch(images[:1], getattr(model, "batch", None)))
    planar = {call.name for call in Trace(model, images).calls() if call.planar}
    found = [call for call in observed if call.kind in _KINDS | ACTIVATIONS and call.name in planar]
    if not found:
        raise UnsupportedError(
            "the model has no layer with maps: no convolution, pooling or activation of it answers (N, C, H, W)"
        )
    return found


def first_response(model: nn.Module, images: torch.Tensor) -> str:
    """The activation that follows the first convolution before the next one, or that convolution where none does.

    Raises:
        UnsupportedError: the model has no 2-d convolution.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> first_response(lenet(), torch.rand(1, 1, 28, 28))
        'relu1'
    """
    found = ""
    for call in spatial_layers(model, images):
        if call.kind == "conv2d" and found:
            break
        if call.kind == "conv2d" or (found and call.kind in ACTIVATIONS):
            found = call.name
            if call.kind != "conv2d":
                break
    if not found:
        raise UnsupportedError("the model has no 2-d convolution")
    return found


def over_layers(
    model: nn.Module,
    images: torch.Tensor,
    layers: Sequence[str],
    function: Callable[..., tuple[torch.Tensor, ...]],
    batch_size: int,
    device: str | None = None,
) -> tuple[torch.Tensor, ...]:
    """`function(*maps)` of the layers' maps, each (n, C, H, W), batch by batch and joined; the model is in `eval()`.

    With a device the batches are moved there.

    Raises:
        LayerError: the model has no such layer; the message lists near names.
        ModelError: the model raises on the images.
        UnsupportedError: a layer's output is no map, or the model hides its calls.
    """

    def ask(batch: torch.Tensor, stop: bool = len(layers) == 1) -> tuple[torch.Tensor, ...]:
        batch = batch if device is None else batch.to(device)
        with torch.no_grad():
            with record(model, layers) as values, stop_at(model, layers[0]) if stop else nullcontext():
                forward(model, batch)
            return function(*(_map(model, batch, name, values[name]) for name in layers))

    require_images(images)
    bound = getattr(model, "batch", None)
    with evaluating(model):
        if len(layers) == 1:  # a whole pass first: it tells names that mean several calls, which a stopped one does not
            ask(fill_batch(images[:1], bound), stop=False)
        _require_planar(model, images[:1] if device is None else images[:1].to(device), layers)
        size = cpu_size(images, batch_size) if (device or images.device.type) == "cpu" else batch_size
        return in_batches(ask, images, batch_size=size, bound=bound)


def _map(model: nn.Module, batch: torch.Tensor, name: str, value: torch.Tensor) -> torch.Tensor:
    """The value of a layer, which must be a map."""
    if value.ndim == 4:
        return value
    raise UnsupportedError(_no_map(model, batch, name, tuple(value.shape), ""))


def _require_planar(model: nn.Module, images: torch.Tensor, layers: Sequence[str]) -> None:
    """Refuse layers whose output has four axes that are not channels, rows and columns, in this order."""
    trace = Trace(model, images)
    for found in map(trace.layer, layers):
        if len(found.output_shape) == 4 and not found.planar:
            layout = found.layout
            reason = layout if isinstance(layout, str) else f"axis {layout.channels} of it holds the channels"
            raise UnsupportedError(_no_map(model, images, found.name, found.output_shape, f": {reason}"))


def _no_map(model: nn.Module, images: torch.Tensor, name: str, shape: tuple[int, ...], reason: str) -> str:
    """What is said about a layer without maps."""
    names = [call.name for call in spatial_layers(model, images)]
    return (
        f"layer {name!r} is not spatial: its output has the shape {shape}, expected (N, C, H, W){reason}. "
        f"Layers with maps: {listed(names, 6)}"
    )
