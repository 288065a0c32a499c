"""What a call of the network is given: its input, and a convolution's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.geometry import arguments, has_geometry
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import LayerError, Site, display_names
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import first_tensor


def input_of(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """The first input of a call that has more than one dimension (N, …); the call and what follows is not computed.

    Padding by a `pad` before the call is part of its input.

    Args:
        layer: a call as `calls` names it (`layer1.0.conv1`, `classifier/linear:1`); for a module, its first call.

    Raises:
        LayerError: the model has no such layer, the pass ended without reaching it, or it takes no such input.
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import input_of
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> input_of(net, torch.rand(3, 1, 4, 4), "1").shape
        torch.Size([3, 16])
    """
    call = _given(model, images, layer)
    for value in (*call.inputs, *call.options.values()):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1:
            return value
    raise LayerError(f"layer {layer!r} takes no tensor of more than one dimension")


def weights_of(model: nn.Module, images: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The weights (filters, channels of a group, h, w) and the bias (filters,) that a convolution is called with.

    Whether they are a module's parameters, those of an exported graph, or computed on the way.

    Raises:
        LayerError: as `input_of`.
        UnsupportedError: the layer is no two-dimensional convolution, or the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions.inputs import weights_of
        >>> weights_of(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3)), torch.rand(1, 1, 8, 8), "0")[0].shape
        torch.Size([4, 1, 3, 3])
    """
    call = _given(model, images, layer)
    if not has_geometry(call.kind):
        raise UnsupportedError(f"layer {layer!r} is a {call.kind}, not a convolution")
    bound = arguments(call.func, call.kind, call.inputs, call.options)
    if "weight" not in bound:
        raise UnsupportedError(f"layer {layer!r} is a {call.kind}, not a convolution")
    bias = bound.get("bias")
    return bound["weight"].detach(), None if bias is None else bias.detach()


def all_weights(model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights (filters, channels of a group, h, w) of every 2-d convolution of a pass, by the names of `calls`.

    One pass, without gradients. A weight that several calls use is listed at the first of them.

    Raises:
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions.inputs import all_weights
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1))
        >>> {name: tuple(weight.shape) for name, weight in all_weights(net, torch.rand(1, 1, 8, 8)).items()}
        {'0': (4, 1, 3, 3), '2': (2, 4, 1, 1)}
    """
    with evaluating(model), _Weights(model) as seen, torch.no_grad():
        model(images)
    found: dict[str, torch.Tensor] = {}
    known: set[tuple[int, torch.Size]] = set()
    sites = seen.weights
    for name, weight in zip(display_names([site for site, _ in sites.values()]), (w for _, w in sites.values())):
        if weight is not None and (key := (weight.data_ptr(), weight.shape)) not in known:
            known.add(key)
            found[name] = weight
    return found


def _given(model: nn.Module, images: torch.Tensor, layer: str) -> _Stop:
    """The call, as it was about to be made."""
    reader = _Reader(model, layer)
    try:
        with evaluating(model), reader:
            model(images)
    except _Stop as stop:
        if stop.reader is reader:
            return stop
        raise
    raise reader.scopes.missing(layer)


class _Stop(Exception):  # noqa: N818
    """Carries the end of the pass through the model's own code, with the call that it ended at."""

    def __init__(
        self, reader: _Reader, kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(kind)
        self.reader, self.kind, self.func = reader, kind, func
        self.inputs, self.options = args, kwargs


class _Reader(Observer):
    """Ends the pass before the call is made."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model)
        self._layer = self.scopes.resolve(layer)

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        inner = site.stack[-1]
        if self._layer in (site.name, inner.path, inner.name) and site.kind != "pad":
            raise _Stop(self, site.kind, func, args, kwargs)
        return func(*args, **kwargs)


class _Weights(Observer):
    """Writes down the weight of every convolution, None for other calls."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, whole=False)
        self.weights: dict[str, tuple[Site, torch.Tensor | None]] = {}

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = func(*args, **kwargs)
        if (found := first_tensor(output)) is not None and found.is_floating_point():
            weight = arguments(func, site.kind, args, kwargs)["weight"].detach() if site.kind == "conv2d" else None
            self.weights[site.name] = (site, weight)
        return output
