"""What a convolution or pooling does to the plane: kernel, stride, dilation and the padding that reaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from cnnaudit.interventions.op_types import raw_name

Sides = tuple[int, int, int, int]

_ARGUMENTS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "convolution": (
        *("input", "weight", "bias", "stride", "padding", "dilation"),
        *("transposed", "output_padding", "groups"),
    ),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
}
_MODES = {"reflection_pad2d": "reflect", "replication_pad2d": "replicate"}


@dataclass(frozen=True, slots=True)
class Padding:
    """Pixels put around a plane: left, right, top, bottom, and what they hold (see `Geometry`)."""

    sides: Sides = (0, 0, 0, 0)
    mode: str = "none"
    value: float | None = None

    def joined(self, outer: Padding) -> Padding:
        """This padding with another one around it."""
        if not any(self.sides) or not any(outer.sides):
            return self if any(self.sides) else outer
        left, right, top, bottom = (a + b for a, b in zip(self.sides, outer.sides))
        sides = (left, right, top, bottom)
        if (self.mode, self.value) == (outer.mode, outer.value):
            return Padding(sides, self.mode, self.value)
        return Padding(sides, "mixed")


@dataclass(frozen=True, slots=True)
class Geometry:
    """The geometry of a convolution or pooling; pairs are (height, width).

    Attributes:
        padding: left, right, top, bottom, joined: the call's own argument plus a `pad` just before it.
        padding_mode: `none`, `constant`, `replicate`, `reflect`, `circular`, or `mixed` where the joined ones differ.
        padding_value: what a constant padding puts there: 0 for convolutions and average pooling, -inf for
            max pooling; None for the other modes.
        ceil_mode: whether a pooling rounds its output size up.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: Sides
    padding_mode: str
    padding_value: float | None
    ceil_mode: bool = False


# The padding around each living tensor that a `pad` call made; shared, so that contexts inside one another agree.
_AROUND: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def note_pad(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor) -> None:
    """Remember what a call of kind `pad` put around the plane; negative amounts crop, other dimensions do not count."""
    bound = pad_arguments(func, args, kwargs)
    left, right, top, bottom = (*(int(amount) for amount in bound["pad"]), 0, 0, 0, 0)[:4]
    mode = bound["mode"]
    value = float(bound.get("value") or 0) if mode == "constant" else None
    inner = padding_of(bound["input"])
    kept = _positive(*(side + min(amount, 0) for side, amount in zip(inner.sides, (left, right, top, bottom))))
    outer = Padding(_positive(left, right, top, bottom), mode, value)
    _AROUND[output] = Padding(kept, inner.mode, inner.value).joined(outer)


def pad_arguments(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """`input`, `pad`, `mode` and perhaps `value` of a call of kind `pad`."""
    bound: dict[str, Any] = {**dict(zip(("input", "pad", "mode", "value"), args)), **kwargs}
    name = raw_name(func)
    if name == "constant_pad_nd":  # takes the value where the others take the mode
        bound = {"mode": "constant", "value": bound.pop("mode", 0)} | bound
    return bound | {"mode": _MODES.get(name, bound.get("mode", "constant"))}


def _positive(left: int, right: int, top: int, bottom: int) -> Sides:
    return max(left, 0), max(right, 0), max(top, 0), max(bottom, 0)


def padding_of(tensor: torch.Tensor) -> Padding:
    """The padding that `pad` calls put around this very tensor."""
    found: Padding | None = _AROUND.get(tensor)  # type: ignore[no-untyped-call]
    return found or Padding()


def carry_padding(source: torch.Tensor, copy: torch.Tensor) -> None:
    """Let a copy bear the padding of its source."""
    if source in _AROUND:
        _AROUND[copy] = _AROUND[source]


def arguments(func: Any, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a convolution or pooling by name."""
    names = _ARGUMENTS["convolution" if raw_name(func) == "convolution" else kind]
    return {**dict(zip(names, args)), **kwargs}


def own_padding(kind: str, bound: Mapping[str, Any]) -> Padding:
    """The padding that the call's own argument asks for; `same` puts the odd pixel right and below, as torch does."""
    asked = bound.get("padding", 0)
    if asked == "valid":
        return Padding()
    if asked == "same":
        kernel, dilation = bound["weight"].shape[-2:], _pair(bound.get("dilation", 1))
        (top, bottom), (left, right) = ((t // 2, t - t // 2) for t in (d * (k - 1) for d, k in zip(dilation, kernel)))
    else:
        (top, left), (bottom, right) = _pair(asked), _pair(asked)
    sides = (left, right, top, bottom)
    return Padding(sides, "constant", float("-inf") if kind == "max_pool2d" else 0.0) if any(sides) else Padding()


def geometry_of(kind: str, bound: Mapping[str, Any]) -> Geometry:
    """The geometry of a convolution or pooling from its arguments, with the padding joined."""
    kernel = _pair(bound["weight"].shape[-2:] if kind == "conv2d" else bound["kernel_size"])
    padding = padding_of(bound["input"]).joined(own_padding(kind, bound))
    stride = bound.get("stride", 1 if kind == "conv2d" else None)
    return Geometry(
        kernel=kernel,
        stride=_pair(stride) if stride else kernel,
        dilation=_pair(bound.get("dilation", 1)),
        groups=int(bound.get("groups", 1)),
        padding=padding.sides,
        padding_mode=padding.mode,
        padding_value=padding.value,
        ceil_mode=bool(bound.get("ceil_mode", False)),
    )


def has_geometry(kind: str) -> bool:
    """Whether calls of that kind have a geometry."""
    return kind in _ARGUMENTS


def _pair(value: Any) -> tuple[int, int]:
    """Height and width from one number or two."""
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])
