"""A forward pass whose graph begins at one layer, for gradients with respect to what that layer answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.module_paths import LayerError, Site
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import first_tensor


class Tracked:
    """What the layer answered in the latest pass."""

    def __init__(self, tracker: _Tracker) -> None:
        self._tracker = tracker

    @property
    def value(self) -> torch.Tensor:
        """The layer's output, a leaf of the graph that the answer of the pass belongs to.

        Raises:
            LayerError: the pass did not reach the layer, or entered it more than once and the name has no number.
        """
        return self._tracker.value()


@contextmanager
def track_from(model: nn.Module, layer: str) -> Iterator[Tracked]:
    """Compute gradients from that layer on only: what comes before it is not kept, as under `torch.no_grad()`.

    Answers do not change by a bit. The derivative of the answer with respect to the layer's output is that of the
    ordinary graph, also where other branches bypass the layer: they do not depend on it. Meant for one pass.

    Args:
        layer: a module or a call, named as in `interventions.calls`.

    Raises:
        LayerError: the model has no such layer; when `value` is read: see there.
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import track_from
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
        >>> with track_from(net, "0") as tracked:
        ...     answer = net(torch.ones(1, 1, 3, 3))
        >>> (gradient,) = torch.autograd.grad(answer.sum(), tracked.value)
        >>> bool((gradient == (tracked.value > 0)).all())
        True
    """
    tracker = _Tracker(model, layer)
    with torch.set_grad_enabled(False), tracker:
        yield Tracked(tracker)


class _Tracker(Observer):
    """Makes the layer's output a function of a leaf, and turns gradients on."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model)
        self._name, self._layer = layer, self.scopes.resolve(layer)
        self._leaf: torch.Tensor | None = None

    def value(self) -> torch.Tensor:
        times = self.scopes.entries.get(self._layer, 0)
        if times > 1:
            raise LayerError(
                f"layer {self._name!r} is called {times} times in a pass; name one: {self._layer}:1 … :{times}"
            )
        if self._leaf is None:
            raise self.scopes.missing(self._name)
        return self._leaf

    def on_start(self) -> None:
        self._leaf = None
        torch.set_grad_enabled(False)

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = func(*args, **kwargs)
        if site.name == self._layer or any(self._is(entry) for entry in site.answers):
            found = first_tensor(output)
            if found is not None and self._leaf is None:
                tracked = self._track(found)
                return tracked if output is found else type(output)((tracked, *output[1:]))
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        if self._is(entry) and self._leaf is None and isinstance(output, torch.Tensor):
            return self._track(output)
        return None

    def _is(self, entry: Entry) -> bool:
        return self._layer in (entry.path, entry.name)

    def _track(self, output: torch.Tensor) -> torch.Tensor:
        """The very tensor with a leaf behind it, since an in-place call may be read through its input too."""
        with unseen():
            leaf = output.detach().clone().requires_grad_()
            self._leaf = leaf
            torch.set_grad_enabled(True)
            if output._is_view():  # made without gradients, it cannot be written to with them
                return leaf.clone()
            return output.copy_(leaf)
