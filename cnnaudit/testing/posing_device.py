"""A device that no machine needs to have: tensors that say they live elsewhere, and refuse to meet those of the CPU.

Code for a graphics card goes wrong where it mixes devices, and that shows only on such a machine. A posing tensor says
that it is on the device `meta`, carries its numbers on the CPU, and raises `MixedDevicesError` wherever a card would.

Example:
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> with posing():
    ...     answer = posed(net)(pose(torch.ones(1, 2)))
    >>> answer.device.type, bool(carried(answer).equal(net(torch.ones(1, 2))))
    ('meta', True)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")

_COPIES = {"_to_copy", "copy_"}  # between devices, as a card allows
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}


class MixedDevicesError(RuntimeError):
    """A tensor of the CPU beside one of the device."""


class Posing(torch.Tensor):
    """A tensor of the device; see `pose`."""

    _carried: torch.Tensor

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> Posing:
        made: Posing = torch.Tensor._make_wrapper_subclass(
            cls,
            data.shape,
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            layout=data.layout,
            device=DEVICE,
        )
        made._carried = data
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Posing({self._carried!r})"

    # torch refuses to read numbers of the device `meta`

    def item(self) -> Any:
        return self._carried.item()

    def tolist(self) -> Any:
        return self._carried.tolist()

    def __bool__(self) -> bool:
        return bool(self._carried)

    def __float__(self) -> float:
        return float(self._carried)

    def __int__(self) -> int:
        return int(self._carried)

    def __index__(self) -> int:
        return self._carried.__index__()

    def new_tensor(self, data: Any, **options: Any) -> torch.Tensor:  # type: ignore[override]
        options.pop("device", None)
        return pose(self._carried.new_tensor(data, **options))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def pose(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, on the device; use it inside `posing`."""
    return Posing(tensor.detach())


def carried(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers of a tensor, on the CPU."""
    tensor = tensor.detach()
    return tensor._carried if isinstance(tensor, Posing) else tensor


def posed(model: nn.Module) -> nn.Module:
    """A copy of the model on the device."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(pose(parameter.data), requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else pose(buffer)
    return copied


@contextmanager
def posing() -> Iterator[None]:
    """Let the device exist: whatever is made on it while the context lasts carries numbers.

    Raises:
        MixedDevicesError: inside the context, where a call is given tensors of both devices.
    """
    with _Numbers(), _Factories():  # type: ignore[no-untyped-call]
        yield


class _Factories(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """`torch.zeros(…, device=…)` and copies to the device."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """`torch.tensor` and its like, which make tensors of Python's numbers without asking anybody."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            return func(args[0], _indices(args[1]), *args[2:])
        if func not in (torch.tensor, torch.as_tensor, torch.asarray) or options.get("device") is None:
            return func(*args, **options)
        device = torch.device(options.pop("device"))
        made = func(*args, **options)
        return made.to(device)


def _indices(index: Any) -> Any:
    """An index whose lists are tensors, which torch would make on the device of what is indexed, without numbers."""
    if isinstance(index, tuple):
        return tuple(_indices(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The call on the numbers, refused where devices are mixed; its results are on the device of its arguments."""
    name = func.name().split("::")[1].split(".")[0]
    ours = _ours((args, kwargs))
    if name not in _COPIES:
        _refuse_mixed(name, args, kwargs)
    options = dict(tree_map(_bare, kwargs))
    if options.get("device") is not None:
        ours, options["device"] = torch.device(options["device"]).type == DEVICE.type, torch.device("cpu")
    output = func(*tree_map(_bare, args), **options)
    if name.endswith("_") and not name.endswith("__") and args and isinstance(args[0], torch.Tensor):
        return args[0]  # changed in place
    return tree_map(_dressed, output) if ours else output


def _refuse_mixed(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise MixedDevicesError for a tensor of the CPU; single numbers may come from there, and indices."""
    if any(value.device == DEVICE and not isinstance(value, Posing) for value in _tensors((args, kwargs))):
        raise MixedDevicesError(
            f"{name}: a tensor on the device carries no numbers; make it with torch.tensor, or by a copy"
        )
    if name in _INDEXED and isinstance(args[0], Posing):
        args = [args[0], *args[2:]]
    tensors = _tensors((args, kwargs))
    foreign = [tuple(value.shape) for value in tensors if not isinstance(value, Posing) and value.dim() > 0]
    if foreign and _ours((args, kwargs)):
        raise MixedDevicesError(
            f"{name}: expected all tensors on one device, found some of the CPU, of shape {foreign}"
        )


def _tensors(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_flatten(values)[0] if isinstance(value, torch.Tensor)]


def _ours(values: Any) -> bool:
    return any(isinstance(value, Posing) for value in _tensors(values))


def _bare(value: Any) -> Any:
    return value._carried if isinstance(value, Posing) else value


def _dressed(value: Any) -> Any:
    return Posing(value) if isinstance(value, torch.Tensor) and not isinstance(value, Posing) else value
