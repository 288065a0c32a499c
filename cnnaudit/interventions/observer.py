"""The torch function mode that every intervention stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.module_paths import Scopes, Site
from cnnaudit.interventions.op_types import first_tensor, kind_of

Function = Callable[..., Any]


class Observer(TorchFunctionMode):
    """Sees every torch function that a model's forward pass calls in this thread, with its place in the model.

    Subclasses override `on_call` (make the call, or another in its place), `on_leave` (a module has answered) and
    `on_start` (a pass begins). Hooks are on the model only while the context lasts.

    Args:
        model: None observes whatever is called inside the context, without names.
        whole: see `Scopes`.

    Raises:
        UnsupportedError: a part of the model hides its calls (TorchScript, a compiled module).
    """

    def __init__(self, model: nn.Module | None, whole: bool = True) -> None:
        super().__init__()
        self.scopes = Scopes(model, whole)

    def __enter__(self) -> Any:
        self.scopes.attach(self.on_start, self.on_leave)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        finally:
            self.scopes.detach()

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "__get__":  # a property of a tensor
            return func(*args, **kwargs)
        kind = kind_of(func, args)
        site = self.scopes.site(func, kind)
        if site is None:
            return func(*args, **kwargs)
        output = self.on_call(site, func, args, kwargs)
        found = first_tensor(output)
        if found is not None and found.is_floating_point():
            self.scopes.count(site)
        return output

    def on_start(self) -> None:
        """A forward pass of the model begins."""

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Answer a call; here as it was asked."""
        return func(*args, **kwargs)

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        """A module has answered; return its new output, or None to leave it."""
        return None


def unseen() -> Any:
    """A context for calls of our own, which no mode around should see or count."""
    return torch._C.DisableTorchFunction()
