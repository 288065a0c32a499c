"""Which convolution makes each channel of a layer, followed through one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import ACTIVATIONS, first_tensor

_PASS_ON = ACTIVATIONS | {
    *("batch_norm", "instance_norm", "local_response_norm", "sigmoid", "tanh", "dropout", "feature_dropout"),
    *("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "lp_pool2d", "interpolate", "pad"),
    *("contiguous", "clone", "detach", "to", "float", "max_pool2d_with_indices"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """The unit of a convolution that a channel comes from; see `NamedUnit`."""

    layer: str
    unit: int
    kernel: tuple[int, int]
    branch: int | None = None
    through: tuple[str, ...] = ()


Sources = list[Source | None]


def channel_sources(model: nn.Module, images: torch.Tensor, layer: str) -> Sources:
    """The source of every channel of the layer's answer. Errors as `named_units`."""
    with evaluating(model), _Sources(model, layer) as follower, torch.no_grad():
        model(images)
    if follower.answer is None:
        raise follower.scopes.missing(layer)
    if follower.answer.ndim != 4:
        raise UnsupportedError(f"layer {layer!r} answers {tuple(follower.answer.shape)}, expected maps (N, C, H, W)")
    names = dict(zip((site.name for site in follower.scopes.seen), display_names(follower.scopes.seen)))
    return [source and replace(source, layer=names[source.layer]) for source in follower.found]


class _Sources(Observer):
    """Keeps for every tensor of the pass the sources of its channels."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model, whole=False)
        self._layer = self.scopes.resolve(layer)

    def on_start(self) -> None:
        self.answer: torch.Tensor | None = None
        self.found: Sources = []
        self._known: dict[int, tuple[torch.Tensor, Sources]] = {}  # by identity; the tensor is held, so ids stay apart

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        source = first_tensor((*args, *kwargs.values()))
        output = func(*args, **kwargs)
        found = first_tensor(output)
        if found is None or not found.is_floating_point() or found.ndim != 4:
            return output
        if site.kind == "conv2d":
            weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
            assert weight is not None
            kernel = (int(weight.shape[-2]), int(weight.shape[-1]))
            sources: Sources = [Source(site.name, unit, kernel) for unit in range(found.shape[1])]
        elif site.kind == "cat":
            sources = self._joined(args, kwargs, found)
        elif site.kind in _PASS_ON and source is not None and source.shape[1:2] == found.shape[1:2]:
            sources = [s and replace(s, through=(*s.through, site.kind)) for s in self._of(source)]
        else:
            sources = [None] * found.shape[1]
        self._known[id(found)] = found, sources
        if site.name == self._layer or any(self._is(entry) for entry in site.answers):
            self.answer, self.found = found, sources
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        if self._is(entry) and (found := first_tensor(output)) is not None:
            self.answer, self.found = found, self._of(found)

    def _joined(self, args: Sequence[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> Sources:
        """The channels of a concatenation, with the number of the input that each is in."""
        parts = args[0] if args else kwargs["tensors"]
        dimension = kwargs.get("dim", args[1] if len(args) > 1 else 0)
        if dimension not in (1, -3):
            return [None] * found.shape[1]
        return [s and replace(s, branch=k) for k, part in enumerate(parts) for s in self._of(part)]

    def _of(self, tensor: torch.Tensor) -> Sources:
        """The sources of a tensor's channels; None for each where it comes from something else."""
        return self._known[id(tensor)][1] if id(tensor) in self._known else [None] * tensor.shape[1]

    def _is(self, entry: Entry) -> bool:
        return self._layer in (entry.path, entry.name)
