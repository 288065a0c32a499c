"""Activations of named layers, and the forward pass that ends there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cnnaudit.interventions.geometry import carry_padding
from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import LayerError, Site, display_names
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import first_tensor, is_in_place


@contextmanager
def record(model: nn.Module, layers: Sequence[str] | None = None) -> Iterator[Mapping[str, torch.Tensor]]:
    """The outputs of named layers in the latest forward pass, by name.

    A value is what the layer produced: later in-place calls (`relu_`, `+=`) do not reach it, since the network goes on
    with a copy. Where gradients are enabled the values are part of the graph, so that
    `torch.autograd.grad(logits.sum(), values["layer1"])` works. The logits do not change by a bit. The values stay
    readable after the context; each pass inside it replaces them.

    Args:
        layers: modules (`layer1.0.conv1`; `relu:2` for a module that is called more than once) or calls
            (`layer1.0/relu:2`, see `calls`); None: every call, under the names that `calls` gives.

    Raises:
        LayerError: the model has no such layer; or, when it is read, the latest pass did not reach it, the module was
            called more than once and the name has no number, or it returned no tensor.
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import record
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(inplace=True))
        >>> with record(net, ["0"]) as values:
        ...     answer = net(torch.rand(4, 1, 8, 8))
        >>> values["0"].shape, bool((values["0"].relu() == answer).all())
        (torch.Size([4, 2, 6, 6]), True)
    """
    recorder = _Recorder(model, layers)
    with recorder:
        yield recorder.values


@contextmanager
def stop_at(model: nn.Module, layer: str) -> Iterator[None]:
    """End the forward pass, and the `with` block, once the layer has answered; the rest is not computed.

    Meant around a single pass; to keep values write `with record(net, ["a", "b"]) as values, stop_at(net, "b"):
    net(images)`, with `stop_at` the inner one. Since nothing later is seen, the bare name of a module that is called
    more than once means its first call here.

    Raises:
        LayerError: the model has no such layer, or the pass ended without reaching it.
        UnsupportedError: the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import stop_at
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
        >>> with stop_at(net, "0"):
        ...     net(torch.rand(1, 1, 8, 8))
        ...     raise AssertionError("not reached")
    """
    with _stopping(model, layer):
        yield


def run_until(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """The output of a layer (N, …) in evaluation mode; what follows it is not computed. Errors as in `stop_at`.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import run_until
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
        >>> run_until(net, torch.rand(1, 1, 8, 8), "0").shape
        torch.Size([1, 2, 6, 6])
    """
    with evaluating(model), _stopping(model, layer) as stopper:
        model(images)
    if stopper.output is None:
        raise LayerError(f"layer {layer!r} returned no tensor; name a call inside it")
    return stopper.output


class _Values(Mapping[str, torch.Tensor]):
    """What a recorder has kept, read by the names that were asked for."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._recorder.value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._recorder.names())

    def __len__(self) -> int:
        return len(self._recorder.names())


class _Recorder(Observer):
    """Keeps the outputs of the wanted modules and calls, by `path:k` and `path/kind:n`."""

    def __init__(self, model: nn.Module, layers: Sequence[str] | None) -> None:
        super().__init__(model)
        self.values = _Values(self)
        self._layers = None if layers is None else {name: self.scopes.resolve(name) for name in layers}
        self._wanted = set((self._layers or {}).values())
        self._kept: dict[str, torch.Tensor] = {}
        self._in_place: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def names(self) -> dict[str, str]:
        """The names that can be read, and what they are here."""
        if self._layers is not None:
            return self._layers
        return dict(zip(display_names(self.scopes.seen), (site.name for site in self.scopes.seen)))

    def value(self, name: str) -> torch.Tensor:
        """The value of that layer in the latest pass."""
        key = self.names().get(name)
        if key is None:
            raise LayerError(f"layer {name!r} is not recorded here; recorded: {', '.join(self.names()) or 'none'}")
        times = self.scopes.entries.get(key, 0)
        if times > 1:
            raise LayerError(f"layer {name!r} is called {times} times in a pass; name one: {key}:1 … {key}:{times}")
        found = self._kept.get(f"{key}:1" if times else key)
        if found is None:
            raise self.scopes.missing(name)
        return found

    def on_start(self) -> None:
        self._kept.clear()
        self._in_place.clear()

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        keys = [entry.name for entry in site.answers if self._wants(entry)]
        if self._layers is None or site.name in self._wanted:
            keys.append(site.name)
        in_place = is_in_place(func, args, kwargs) and torch.is_grad_enabled()
        if in_place and (keys or self._wants(site.stack[-1])):
            value, output = _change_in_place(func, args, kwargs)
            self._in_place[site.stack[-1].name] = (output, value)
        else:
            output = func(*args, **kwargs)
            found = first_tensor(output)
            if not keys or found is None:
                return output
            value, passed_on = _separate(found, (*args, *kwargs.values()))
            output = passed_on if output is found else type(output)((passed_on, *output[1:]))
        self._kept.update(dict.fromkeys(keys, value))
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        if not self._wants(entry) or not isinstance(output, torch.Tensor):
            return None
        changed, value = self._in_place.get(entry.name, (None, None))
        if output is changed and value is not None:
            self._kept[entry.name] = value
            return None
        self._kept[entry.name], passed_on = _separate(output, inputs)
        return passed_on

    def _wants(self, entry: Entry) -> bool:
        return entry.path in self._wanted or entry.name in self._wanted


def _separate(value: torch.Tensor, inputs: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The value to keep and the one that the network goes on with, in memory of their own.

    Both are in the graph, the kept one before the other. Where the value shares the memory of an input, the network
    must go on with that memory; only with gradients, where the value could not be kept in the graph, it does not.
    """
    with unseen():
        if not any(_share_memory(value, other) for other in inputs if isinstance(other, torch.Tensor)):
            kept, passed_on = value, value.clone()
        elif value.requires_grad:
            kept = value.clone()
            passed_on = kept.clone()
        else:
            kept, passed_on = value.clone(), value
        carry_padding(value, passed_on)
    return kept, passed_on


def _change_in_place(
    func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    """An in-place call by way of a copy: the value to keep lies in the graph, the changed tensor is what it was."""
    target = args[0]
    with unseen():
        copy = target.clone()
    value = func(copy, *args[1:], **kwargs)
    with unseen():
        target.copy_(value)
    return value, target


def _share_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


class _Stop(Exception):  # noqa: N818
    """Carries the end of the pass through the model's own code."""

    def __init__(self, stopper: _Stopper) -> None:
        self.stopper = stopper


class _Stopper(Observer):
    """Ends the pass when the layer has answered."""

    output: torch.Tensor | None = None
    reached = False

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model)
        self._layer = self.scopes.resolve(layer)

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = func(*args, **kwargs)
        if site.name == self._layer or any(self._is(entry) for entry in site.answers):
            self._stop(first_tensor(output))
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        if self._is(entry):
            self._stop(output if isinstance(output, torch.Tensor) else None)

    def _is(self, entry: Entry) -> bool:
        return self._layer in (entry.path, entry.name)

    def _stop(self, output: torch.Tensor | None) -> None:
        self.output, self.reached = output, True
        raise _Stop(self)


@contextmanager
def _stopping(model: nn.Module, layer: str) -> Iterator[_Stopper]:
    """Run the block until the layer has answered."""
    stopper = _Stopper(model, layer)
    try:
        with stopper:
            yield stopper
    except _Stop as stop:
        if stop.stopper is not stopper:
            raise
        return
    if not stopper.reached:
        raise stopper.scopes.missing(layer)
