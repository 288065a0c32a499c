"""The calls of one forward pass, with their names, shapes and geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.core.memory import out_of_memory
from cnnaudit.core.wording import one_line
from cnnaudit.interventions.geometry import (
    Geometry,
    arguments,
    geometry_of,
    has_geometry,
    note_pad,
    padding_of,
)
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import first_tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One function call of a forward pass.

    Attributes:
        name: `block1/relu:2`, or the module's path where a module makes one call (`block1.conv`, with `:k` where the
            module is called more than once; a `pad` before the call does not count); a layer name everywhere.
        module: the path of the module whose forward made the call; empty for the model's own.
        kind: `conv2d`, `relu`, `max_pool2d`, `avg_pool2d`, `linear`, `pad`, `add` …; in-place calls drop the `_`.
        input_shape: of the first tensor; for a call with geometry, before any of the padding joined there.
        output_shape: of the (first) tensor that it returns.
        geometry: for `conv2d`, `max_pool2d` and `avg_pool2d`; else None.
    """

    name: str
    module: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    geometry: Geometry | None = None


def calls(model: nn.Module, images: torch.Tensor) -> list[Call]:
    """The calls of one forward pass that return floating-point tensors, in order.

    The model runs once on a copy of `images`, without gradients and in evaluation mode. A model from `torch.export` may
    be bound to the batch size of its example; where its wrapper fills the batch up to it, that is the batch size of the
    shapes.

    Works on modules, functional, in-place and method calls, `torch.fx` and `torch.export`. Calls that `torch.fx`
    traced out of a submodule's forward belong to the traced module; in `torch.export` graphs the nodes remember
    their modules, so that the names are those of the original. Not seen: the inside of a function compiled by
    `torch.jit.script` and of a C++ operator, and a `pad` decomposed into copies (circular, `run_decompositions`).

    Args:
        images: whatever the model takes, float (N, C, H, W).

    Raises:
        ModelError: the model raises on the images.
        UnsupportedError: the model hides its calls (TorchScript, compiled, ONNX run by onnxruntime).

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import calls
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU())
        >>> [(call.name, call.kind, call.output_shape) for call in calls(net, torch.rand(1, 1, 8, 8))]
        [('0', 'conv2d', (1, 2, 8, 8)), ('1', 'relu', (1, 2, 8, 8))]
    """
    with evaluating(model), _Tracer(model, whole=False) as tracer, torch.no_grad():
        _run(model, images)
    if not tracer.facts:
        raise UnsupportedError(f"{type(model).__name__} makes no call that can be observed")
    facts = list(tracer.facts.values())
    names = display_names([site for site, *_ in facts])
    return [Call(name, site.path, site.kind, *shapes) for name, (site, *shapes) in zip(names, facts)]


def _run(model: nn.Module, images: torch.Tensor) -> None:
    """One pass; what torch raises on these images becomes a ModelError, running out of memory stays what it is."""
    try:
        model(images)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        reason = one_line(error)
        raise ModelError(f"the model cannot take images of {images.dtype} {tuple(images.shape)}: {reason}") from error


class _Tracer(Observer):
    """Writes down the shapes and geometry of every call."""

    def on_start(self) -> None:
        # by name: a wrapper that cuts the batch calls its network several times, with the same names
        self.facts: dict[str, tuple[Site, Shape, Shape, Geometry | None]] = {}

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        source = first_tensor((*args, *kwargs.values()))
        before = tuple(source.shape) if source is not None else ()
        geometry = None
        if has_geometry(site.kind):
            bound = arguments(func, site.kind, args, kwargs)
            geometry = geometry_of(site.kind, bound)
            left, right, top, bottom = padding_of(bound["input"]).sides
            *batch, height, width = bound["input"].shape
            before = (*batch, height - top - bottom, width - left - right)
        output = func(*args, **kwargs)
        found = first_tensor(output)
        if found is not None and found.is_floating_point():
            if site.kind == "pad":
                note_pad(func, args, kwargs, found)
            self.facts[site.name] = (site, before, tuple(found.shape), geometry)
        return output
