"""Where in the model a forward pass is: module paths, entries and call numbers."""

from __future__ import annotations

import difflib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions.graphs import Entry, Step, exported_steps
from cnnaudit.interventions.op_types import first_tensor


class LayerError(AuditError, KeyError):
    """A layer name that the model does not have, or that the forward pass did not reach."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Site:
    """The place of one call: the modules around it, outermost first, its kind and its number in the innermost one.

    `answers`: in an exported graph, the modules whose output the call's result is; elsewhere their hooks say it.
    """

    stack: tuple[Entry, ...]
    kind: str
    number: int
    answers: tuple[Entry, ...] = ()

    @property
    def path(self) -> str:
        """The path of the innermost module."""
        return self.stack[-1].path

    @property
    def name(self) -> str:
        """Such as `block1/relu:2`."""
        return f"{self.path}/{self.kind}:{self.number}"

    def chosen_by(self, names: Iterable[str]) -> set[str]:
        """Those of the names that mean this call, or a module around it."""
        bearing = {self.name, *(entry.path for entry in self.stack), *(entry.name for entry in self.stack)}
        return bearing.intersection(names)


class Scopes:
    """Follows the forward passes of one model, in one thread, by hooks on its modules; without a model, of anything.

    Hooks belong to the model and not to a thread, so those of another thread's pass are told apart and ignored.

    Args:
        whole: refuse a pass in which a wrapper cuts or fills up the batch for a network bound to its batch size, since
            what is seen would not be the images' own.

    Raises:
        UnsupportedError: a part of the model hides its calls.
    """

    def __init__(self, model: nn.Module | None, whole: bool = True) -> None:
        self._model, self._whole = model, whole
        self._paths: dict[nn.Module, str] = {}
        self._canonical: dict[str, str] = {}
        self._graphs: dict[nn.Module, tuple[Step, ...]] = {}
        if model is not None:
            self._survey(model)
        self._thread = threading.get_ident()
        self._handles: list[Any] = []
        self._stack: list[Entry] = []
        self._steps: dict[Entry, Iterator[Step]] = {}
        self._batch: int | None = None
        self._before: tuple[Counter[tuple[str, str]], Counter[str]] | None = None
        self._counts: Counter[tuple[str, str]] = Counter()
        self.entries: Counter[str] = Counter()
        self.seen: list[Site] = []

    def _survey(self, model: nn.Module) -> None:
        """Read the paths of the model's modules, and of those that its exported graphs remember."""
        for path, module in model.named_modules(remove_duplicate=False):
            self._canonical[path] = self._paths.setdefault(module, path)
        for module in vars(model).values():  # a wrapper that shows its network's modules as its own
            if isinstance(module, nn.Module):
                self._paths.setdefault(module, "")
        refuse_hidden(self._paths)
        exported: list[str] = []
        for module, path in self._paths.items():
            # a graph inside a graph (`no_grad` in a forward) remembers paths from the outer one
            prefix = next((outer for outer in exported if path.startswith(f"{outer}." if outer else "")), path)
            if (steps := exported_steps(module, prefix)) is not None:
                exported.append(prefix)
                self._graphs[module] = steps
                self._canonical |= {entry.path: entry.path for step in steps for entry in step.stack}

    def attach(self, on_start: Callable[[], None], on_leave: Callable[[Entry, Any, Any], Any]) -> None:
        """Follow the model: `on_start()` at each pass, `on_leave(entry, inputs, output)` may replace the output."""

        def enter(module: nn.Module, inputs: Any) -> None:
            if threading.get_ident() == self._thread:
                self._enter(module, _batch(inputs), on_start)

        def leave(module: nn.Module, inputs: Any, output: Any) -> Any:
            if threading.get_ident() != self._thread or (entry := self._leave(module)) is None or output is None:
                return None  # an exception passes through: no output
            return on_leave(entry, inputs, output)

        for module in self._paths:
            self._handles.append(module.register_forward_pre_hook(enter))
            self._handles.append(module.register_forward_hook(leave, always_call=True))

    def detach(self) -> None:
        """Remove every hook."""
        while self._handles:
            self._handles.pop().remove()
        self._stack.clear()

    def site(self, func: Callable[..., Any], kind: str) -> Site | None:
        """The place of the call that is about to be made; None outside the model."""
        if self._model is None:
            return Site((Entry("", 1),), kind, self._counts["", kind] + 1)
        if not self._stack:
            return None
        stack: tuple[Entry, ...] = tuple(self._stack)
        answers: tuple[Entry, ...] = ()
        if isinstance(func, OpOverload) and (steps := self._steps.get(stack[-1])) is not None:
            step = next((step for step in steps if step.packet == func.overloadpacket), None)
            if step is not None:
                stack, answers = (*stack, *step.stack), step.answers
        return Site(stack, kind, self._counts[stack[-1].path, kind] + 1, answers)

    def count(self, site: Site) -> None:
        """Give the call its number: it has returned a tensor."""
        self._counts[site.path, site.kind] += 1
        self.seen.append(site)

    def resolve(self, name: str) -> str:
        """The name with its module's first path, where a module is registered under several.

        Raises:
            LayerError: the model has no such module, or the name is not of the form `path/kind:number`.
        """
        if name in self._canonical:
            return self._canonical[name]
        path, slash, call = name.partition("/") if "/" in name else name.rpartition(":")
        if path in self._canonical and re.fullmatch(r"[A-Za-z]\w*:[1-9]\d*" if slash == "/" else r"[1-9]\d*", call):
            return self._canonical[path] + slash + call
        if path in self._canonical and slash == "/":
            raise LayerError(f"layer {name!r}: a call is named kind:number, for example {path}/relu:1")
        near = difflib.get_close_matches(name, self._canonical, n=3, cutoff=0.5)
        hint = f"near names: {', '.join(near)}" if near else "its modules are those of named_modules()"
        raise LayerError(f"the model has no layer {name!r}; {hint}. interventions.calls(model, images) lists the calls")

    def missing(self, name: str) -> LayerError:
        """The error for a layer that the latest forward pass did not reach."""
        if not self.entries:
            return LayerError(f"layer {name!r}: the model was not called inside the context")
        path, _, number = name.rpartition(":") if ":" in name else (name, "", "1")
        if "/" not in name and int(number) <= self.entries[path]:
            return LayerError(f"layer {name!r} was entered, but returned no single tensor; name one of its calls")
        near = difflib.get_close_matches(name, dict.fromkeys([site.name for site in self.seen]), n=3, cutoff=0.5)
        hint = f"; near calls of the pass: {', '.join(near)}" if near else ""
        return LayerError(f"layer {name!r} was not reached in this forward pass{hint}")

    def _enter(self, module: nn.Module, batch: int | None, on_start: Callable[[], None]) -> None:
        """Push the module; a pass starts at the model itself, or where a part of it is called alone."""
        path = self._paths[module]
        if module is self._model or not self._stack:
            for record in (self._stack, self._counts, self.entries, self.seen):
                record.clear()
            self._batch, self._before = batch, None
            on_start()
        elif path == "":
            self._enter_wrapped(batch)
        if path or not self._stack:
            self.entries[path] += 1
        entry = Entry(path, self.entries[path])
        self._stack.append(entry)
        if module in self._graphs:
            self._steps[entry] = iter(self._graphs[module])
            for inner in (inner for step in self._graphs[module] for inner in step.stack):
                self.entries[inner.path] = max(self.entries[inner.path], inner.number)

    def _enter_wrapped(self, batch: int | None) -> None:
        """A wrapper calls its network: each time that it does so in one pass, the numbers start again."""
        if self._whole and batch != self._batch:
            raise UnsupportedError(
                f"the model takes batches of {batch} images only, and {self._batch} were given; give {batch} at a time"
            )
        if self._before is None:
            self._before = self._counts.copy(), self.entries.copy()
        counts, entries = self._before
        self._counts, self.entries = counts.copy(), entries.copy()

    def _leave(self, module: nn.Module) -> Entry | None:
        """Pop the module, with whatever an exception left above it; None for a network inside its wrapper."""
        path = self._paths[module]
        position = max((i for i, entry in enumerate(self._stack) if entry.path == path), default=None)
        if position is None:
            return None
        entry = self._stack[position]
        del self._stack[position:]
        return entry if path or module is self._model else None


def _batch(inputs: Any) -> int | None:
    """The number of images that a module is given."""
    found = first_tensor(inputs)
    return len(found) if found is not None and found.dim() else None


def refuse_hidden(modules: Iterable[nn.Module]) -> None:
    """Raise UnsupportedError where a module hides its calls from `torch.overrides`."""
    for module in modules:
        kind = type(module).__name__
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedError(
                f"the model holds TorchScript ({kind}), whose calls cannot be observed; "
                "give the original Python module or export it with torch.export"
            )
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise UnsupportedError(
                f"the model is compiled ({kind}), its calls cannot be observed; give the module before torch.compile"
            )
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise UnsupportedError(f"the model runs in several threads ({kind}); give its `.module`")


def display_names(sites: Sequence[Site]) -> list[str]:
    """The name of each call of one pass: `path/kind:number`, or the module's own where it makes a single call.

    Pads before that call do not count. A module entered more than once gets `:k`; the model's own calls keep theirs.
    """
    single: dict[Entry, Site] = {}
    busy = {entry for site in sites for entry in site.stack[:-1]}  # modules in whose parts calls are made
    for site in sites:
        entry = site.stack[-1]
        if entry in single and "pad" not in (site.kind, single[entry].kind):
            busy.add(entry)
        if entry not in single or site.kind != "pad":
            single[entry] = site
    crowded = {entry.path for entry in busy}
    times: dict[str, int] = {}
    for entry in (entry for site in sites for entry in site.stack):
        times[entry.path] = max(times.get(entry.path, 0), entry.number)
    names = []
    for site in sites:
        entry = site.stack[-1]
        own = entry.path and entry.path not in crowded and single[entry] is site
        names.append((entry.path if times[entry.path] == 1 else entry.name) if own else site.name)
    return names
