"""What a call of the network is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.scopes import LayerError, Site


def input_of(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """The first input of a call that has more than one dimension (N, …); the call and what follows is not computed.

    Padding by a `pad` before the call is part of its input.

    Args:
        layer: a call as `calls` names it (`layer1.0.conv1`, `classifier/linear:1`); for a module, its first call.

    Raises:
        LayerError: the model has no such layer, or the pass ended without reaching it.
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import input_of
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> input_of(net, torch.rand(3, 1, 4, 4), "1").shape
        torch.Size([3, 16])
    """
    reader = _Reader(model, layer)
    try:
        with reader:
            model(images)
    except _Stop as stop:
        if stop.reader is reader:
            return stop.value
        raise
    raise reader.scopes.missing(layer)


class _Stop(Exception):  # noqa: N818
    """Carries the end of the pass through the model's own code."""

    def __init__(self, reader: _Reader, value: torch.Tensor) -> None:
        self.reader, self.value = reader, value


class _Reader(Observer):
    """Ends the pass before the call is made."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model)
        self._layer = self.scopes.resolve(layer)

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        inner = site.stack[-1]
        if self._layer in (site.name, inner.path, inner.name) and site.kind != "pad":
            for value in (*args, *kwargs.values()):
                if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1:
                    raise _Stop(self, value)
            raise LayerError(f"layer {self._layer!r} takes no tensor")
        return func(*args, **kwargs)
