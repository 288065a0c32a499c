"""The outputs of layers, read many times: on a private copy of the model where there is a quicker one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from cnnaudit.interventions import record, run_until, stop_at
from cnnaudit.interventions.frozen import frozen, lowered
from cnnaudit.interventions.map_layout import grid_readers
from cnnaudit.interventions.module_paths import LayerError
from cnnaudit.interventions.parameters import ConstantParameters
from cnnaudit.optimization.objectives import LOGITS

CLOSE = 1e-3  # of the largest value of a layer: how far rounding may take the copy's answers from the model's

Values = Mapping[str, torch.Tensor]
Read = Callable[[torch.Tensor], Values]


class Reader:
    """The outputs of layers, by name, the forward pass ended after the last of them.

    Outputs of four axes are given as feature maps (N, C, h, w), however the layer holds them.

    Weights are constants of the graph. The passes are made on a frozen copy (`interventions.frozen`) where one can be
    made that answers as the model does, else on the model.

    Args:
        model: in evaluation mode.
        layers: named as in `interventions.calls`; `logits` is the model's answer.
        image: one of those to come, in their memory format.
        dtype: of `torch.autocast`, in which the passes will be made.
        quick: try a copy; for a few passes it does not pay.

    Attributes:
        copied: whether the passes are made on a copy.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: tuple[str, ...],
        image: torch.Tensor,
        dtype: torch.dtype | None = None,
        quick: bool = True,
    ) -> None:
        self._inner = tuple(layer for layer in layers if layer != LOGITS)
        self._whole = len(self._inner) < len(layers)
        self._maps = grid_readers(model, image, self._inner)
        self._last = None if self._whole or not self._inner else _last(model, self._inner, image)
        self._read = self._copied(model, image, dtype) if quick and layers else None
        self.copied = self._read is not None
        self._model = model

    def __call__(self, images: torch.Tensor) -> Values:
        values = self._constant(self._model, images) if self._read is None else self._read(images)
        return {name: self._maps[name](value) if name in self._maps else value for name, value in values.items()}

    def _copied(self, model: nn.Module, image: torch.Tensor, dtype: torch.dtype | None) -> Read | None:
        """Passes on a frozen copy; None where there is none that answers noise as the model does."""
        noise = torch.empty_like(image).copy_(torch.rand(image.shape, generator=torch.Generator().manual_seed(0)))
        try:
            with torch.no_grad():
                expected = self._constant(model, noise)
                copied = frozen(model, noise, self._inner, self._last)
                read = self._cut(copied)
                found = read(noise)
            if not all(_close(found[name], value) for name, value in expected.items()):
                return None
        except Exception:  # whatever a copy cannot do, the model itself can, or says why not
            return None
        if dtype is not None:
            lowered(copied, dtype)
        return read

    def _cut(self, copied: nn.Module) -> Read:
        """Passes on the copy, ended by a hook where a module ends them, so that nothing need be observed."""
        if self._last is None or len(self._inner) > 1:
            return lambda images: self._values(copied, images)
        last = self._last
        try:
            copied.get_submodule(last).register_forward_hook(_stop)
        except AttributeError:  # a call, or one entry of several
            return lambda images: self._values(copied, images)
        return lambda images: {last: _until_stopped(copied, images)}

    def _constant(self, model: nn.Module, images: torch.Tensor) -> Values:
        with ConstantParameters():
            return self._values(model, images)

    def _values(self, model: nn.Module, images: torch.Tensor) -> Values:
        if not self._inner:
            return {LOGITS: model(images)} if self._whole else {}
        if self._last is not None and len(self._inner) == 1:
            return {self._last: run_until(model, images, self._last)}
        with record(model, self._inner) as values:
            if self._whole:
                return {LOGITS: model(images), **values}
            with stop_at(model, self._last or ""):
                model(images)
        return dict(values)


class _Stop(Exception):  # noqa: N818
    """Ends the pass, and carries what it was made for."""

    def __init__(self, output: Any) -> None:
        self.output = output


def _stop(module: nn.Module, inputs: Any, output: Any) -> None:
    raise _Stop(output)


def _until_stopped(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    try:
        model(images)
    except _Stop as stop:
        output: torch.Tensor = stop.output
        return output
    raise LayerError("the layer was not reached in this forward pass")


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    most = float(expected.abs().max()) if expected.numel() else 0.0
    return found.shape == expected.shape and bool(torch.allclose(found, expected, rtol=0, atol=CLOSE * most))


def _last(model: nn.Module, layers: tuple[str, ...], image: torch.Tensor) -> str:
    """The layer that answers last."""
    if len(layers) == 1:
        return layers[0]
    for cut in layers:
        with torch.no_grad(), record(model, layers) as values, stop_at(model, cut):
            model(image)
        try:
            dict(values)
        except LayerError:
            continue
        return cut
    raise LayerError(f"no pass reaches all of {', '.join(layers)}")
