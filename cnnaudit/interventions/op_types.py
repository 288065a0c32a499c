"""What a torch function is: its kind, under one name for module, functional, method, in-place and exported forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

_SAME = {
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "clip": "clamp",
    "constant_pad_nd": "pad",
    "iadd": "add",
    "imul": "mul",
    "max_pool2d_with_indices": "max_pool2d",
    "radd": "add",
    "reflection_pad2d": "pad",
    "replication_pad2d": "pad",
    "rmul": "mul",
}

ACTIVATIONS = {
    *("celu", "clamp", "clamp_min", "elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu"),
    *("relu6", "rrelu", "selu", "silu", "softplus", "threshold"),
}


def raw_name(func: Callable[..., Any]) -> str:
    """The name as torch gives it: `relu_`, `__getitem__`, `conv2d` (for the overload `aten.conv2d.padding` too)."""
    return func.overloadpacket.__name__ if isinstance(func, OpOverload) else getattr(func, "__name__", "call")


def kind_of(func: Callable[..., Any], args: Sequence[Any]) -> str:
    """The kind of a call: `relu` for `F.relu`, `x.relu_()`, `torch.relu` and `aten.relu_.default` alike."""
    name = raw_name(func)
    if name == "convolution":  # what `run_decompositions` makes of every convolution: weight, then `transposed`
        plane = len(args) > 6 and args[1].dim() == 4
        return ("conv_transpose2d" if args[6] else "conv2d") if plane else name
    name = name if name in _SAME else name.strip("_")
    return _SAME.get(name, name)


def is_in_place(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the call changes its first argument and returns it."""
    if not args or not isinstance(args[0], torch.Tensor):
        return False
    if isinstance(func, OpOverload):
        return bool(func._schema.is_mutable)
    name = raw_name(func)
    if (name.endswith("_") and not name.endswith("__")) or name in ("__iadd__", "__isub__", "__imul__", "__itruediv__"):
        return True
    return bool(kwargs.get("inplace"))  # torch passes `F.relu(x, True)` on by keyword


def first_tensor(value: Any) -> torch.Tensor | None:
    """The tensor itself, or the first tensor of a tuple or list."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (tuple, list)):
        return next((found for part in value if (found := first_tensor(part)) is not None), None)
    return None
