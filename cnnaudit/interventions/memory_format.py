"""Whether a model answers the same in the memory layout in which convolutions are faster, channels last.

A `reshape`, `flatten` or `contiguous` shares the memory of its argument in one layout and copies it in the other. Where
the model then writes into either, the layout changes what it computes, without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import refuse_hidden
from cnnaudit.interventions.observer import unseen
from cnnaudit.interventions.parameters import ConstantParameters
from cnnaudit.interventions.recording import run_until

if TYPE_CHECKING:
    from cnnaudit.target.pixels import PixelModel

_KNOWN: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], bool]] = WeakKeyDictionary()
WORTHWHILE = 64  # pixels a side below which channels-last gains nothing


def bears_channels_last(
    model: nn.Module, images: torch.Tensor, *, layer: str | None = None, views: bool = False
) -> bool:
    """Whether the model gives the same answers to images in `torch.channels_last`; asked once, then remembered.

    The first image is answered in both layouts. The answers must agree up to rounding, sqrt(eps) of the largest, and
    what shares memory in one layout only must not be written into. A model whose calls cannot be seen bears none.

    Args:
        layer: compare the answer of that layer; None: of the model.
        views: passes are made inside `ConstantParameters`, where a `view` that the layout does not allow is a copy.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ReLU(inplace=True))
        >>> bears_channels_last(net, torch.rand(1, 3, 8, 8))  # into the map itself, or into a copy of it
        False
    """
    parts = tuple(id(module) for module in model.modules())
    key = (parts, tuple(images.shape[1:]), images.dtype, images.device, layer, views)
    known = _KNOWN.setdefault(model, {})
    if key not in known:
        image = images[:1].detach().expand(getattr(model, "batch", None) or 1, *images.shape[1:])
        ask: Any = model if layer is None else lambda batch: run_until(model, batch, layer)
        try:
            refuse_hidden(model.modules())
            with evaluating(model):
                plain = watched_pass(ask, image.contiguous(), views)
                faster = watched_pass(ask, image.contiguous(memory_format=torch.channels_last), views)
                known[key] = faster.agrees(plain)
        except Exception:  # in the plain layout the model answers, or says what is wrong
            known[key] = False
    return known[key]


@dataclass(frozen=True)
class WatchedPass:
    """What a pass answered, and for each of its calls whether the result shares memory with an argument."""

    answer: Any
    calls: list[_Call]

    def agrees(self, plain: WatchedPass) -> bool:
        """Whether the answers agree and whatever shares memory in one pass only was not written into."""
        if not (isinstance(plain.answer, torch.Tensor) and isinstance(self.answer, torch.Tensor)):
            return False
        if plain.answer.shape != self.answer.shape or len(self.calls) != len(plain.calls):
            return False
        if any(call.shares != twin.shares and call.written() for call, twin in zip(self.calls, plain.calls)):
            return False
        largest = float(plain.answer.abs().max()) if plain.answer.numel() else 0.0
        tolerance = torch.finfo(plain.answer.dtype).eps ** 0.5 * largest
        return bool(torch.allclose(self.answer, plain.answer, rtol=0, atol=tolerance))


def watched_pass(ask: Callable[[torch.Tensor], Any], images: torch.Tensor, views: bool = False) -> WatchedPass:
    """One pass without gradients; `views` as in `bears_channels_last`."""
    constant: Any = ConstantParameters() if views else nullcontext()
    with torch.random.fork_rng(devices=[]), torch.no_grad(), constant, _Sharing() as seen:
        return WatchedPass(ask(images), seen.calls)


@dataclass(frozen=True)
class _Call:
    """Whether a call's result shares memory with an argument, and the tensors that could be written into."""

    shares: bool
    tensors: list[torch.Tensor]
    versions: list[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", [tensor._version for tensor in self.tensors])

    def written(self) -> bool:
        """Whether something was written into one of the tensors after the call."""
        return any(tensor._version != version for tensor, version in zip(self.tensors, self.versions))


class _Sharing(TorchFunctionMode):
    """Notes of each call whether its result shares the memory of an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "__get__":  # a property of a tensor
            return output
        with unseen():
            results, given = list(_tensors(output)), list(_tensors([*args, *(kwargs or {}).values()]))
            if results and given:
                memory = {tensor.untyped_storage().data_ptr() for tensor in given}
                shares = any(tensor.untyped_storage().data_ptr() in memory for tensor in results)
                self.calls.append(_Call(shares, results + given))
        return output


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def choose_layout(model: PixelModel, images: torch.Tensor) -> torch.memory_format:
    """Put a network into channels-last layout where its answers stay the same, and say which layout it has.

    Convolutions then need no reordering (ResNet-50 at 224: 1.45 times faster on a CPU). A network that calls `view`
    on a map raises in this layout and keeps the usual one, as do those that write into what shares memory in one
    layout only, and networks for images below 64 pixels, which gain nothing. Shapes are the same in both layouts.

    Args:
        images: some pixels in [0, 1] on the model's device.
    """
    if min(images.shape[2:]) < WORTHWHILE or not any(p.ndim == 4 for p in model.parameters()):
        return torch.contiguous_format
    plain = watched_pass(model, images)
    try:
        same = watched_pass(model.set_layout(torch.channels_last), images).agrees(plain)
    except RuntimeError:
        same = False
    if not same:
        model.set_layout(torch.contiguous_format)
    return torch.channels_last if same else torch.contiguous_format
