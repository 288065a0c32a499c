"""The graph of a network: which call reads what another one made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import first_tensor

INPUT = "input"


@dataclass(frozen=True, slots=True)
class Node:
    """A call of one forward pass, named as in `interventions.calls`; `parameters` counts its module's own."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Dataflow:
    """The calls in order, and pairs (maker, reader) of names; what the pass begins with is called `input`."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def dataflow(model: nn.Module, images: torch.Tensor) -> Dataflow:
    """The calls of one forward pass and what passes between them, followed by the tensors themselves.

    Works on every model that `interventions.calls` can observe, whatever its forward does in Python. Parameters belong
    to the first call of their module.

    Args:
        images: float (N, C, H, W); one is enough.

    Raises:
        UnsupportedError: the model hides its calls, or makes none.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> dataflow(net, torch.rand(1, 1, 4, 4)).edges
        (('input', '0'), ('0', '1'))
    """
    with evaluating(model), _Follower(model) as follower, torch.no_grad():
        model(images)
    if not follower.seen:
        raise UnsupportedError(f"{type(model).__name__} makes no call that can be observed")
    modules = dict(model.named_modules())
    sites = [site for site, *_ in follower.seen]
    names = display_names(sites)
    by_site = {site.name: name for site, name in zip(sites, names)}
    counted: set[str] = set()
    nodes, edges = [], []
    for (site, makers, shape), name in zip(follower.seen, names):
        own = modules[site.path].parameters(recurse=False) if site.path in modules and site.path not in counted else ()
        weighty = site.kind not in ("pad", "relu")
        nodes.append(Node(name, site.kind, shape, sum(p.numel() for p in own) if weighty else 0))
        counted |= {site.path} if weighty else set()
        edges += [(by_site.get(maker, INPUT), name) for maker in makers]
    return Dataflow(tuple(nodes), tuple(dict.fromkeys(edges)))


class _Follower(Observer):
    """Remembers which call made each tensor; the tensors are kept alive, so that none takes another's place."""

    def on_start(self) -> None:
        self.seen: list[tuple[Site, tuple[str, ...], tuple[int, ...]]] = []
        self._makers: dict[int, str] = {}
        self._alive: list[torch.Tensor] = []

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        read = [t for t in _tensors((*args, *kwargs.values())) if not isinstance(t, nn.Parameter)]
        makers = [self._makers[id(t)] for t in read if id(t) in self._makers]
        if not makers and not read:
            return func(*args, **kwargs)
        output = func(*args, **kwargs)
        found = first_tensor(output)
        if found is None:
            return output
        if found.is_floating_point():
            self.seen.append((site, tuple(dict.fromkeys(makers)) or ("",), tuple(found.shape)))
        for tensor in _tensors((output,)):
            self._makers[id(tensor)] = site.name if found.is_floating_point() else (makers or [""])[0]
            self._alive.append(tensor)
        return output


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    """All tensors in arguments or answers, also in lists, tuples and dictionaries."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(tuple(value.values()))
