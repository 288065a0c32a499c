"""A tensor known by its base images and one changed box per row, and how each torch function carries it forward.

Convolutions, poolings and pointwise functions carry the box, with the halo that they need; every other function is
given the whole tensor, from where on the pass is the ordinary one. Values are those of the ordinary pass, up to the
rounding of a sum in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch.utils._pytree import tree_flatten, tree_map

from cnnaudit.attribution.patches import Axis, Box, Part, copies, seeing, sources, spanning, union
from cnnaudit.interventions.geometry import Geometry, arguments, geometry_of, pad_arguments
from cnnaudit.interventions.op_types import is_in_place, kind_of, raw_name

Function = Callable[..., Any]

MOST = 0.7  # of the plane: a larger box is not worth its halo

DESCRIBING = {"size", "dim", "ndimension", "numel", "nelement", "is_floating_point", "is_complex", "get_device"}
DESCRIBING |= {"__len__", "element_size"}
PROPERTIES = {"shape", "dtype", "device", "ndim", "layout", "is_cuda", "is_sparse", "is_quantized", "requires_grad"}
PROPERTIES |= {"is_leaf", "grad_fn", "is_mkldnn", "is_xpu", "is_mps", "is_meta", "is_nested"}

SAME = {"contiguous", "to", "float", "double", "bfloat16", "half", "type_as"}  # often the very tensor
PIXELWISE = {"relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "silu", "gelu", "mish", "softplus"}
PIXELWISE |= {"sigmoid", "tanh", "hardswish", "hardsigmoid", "clamp", "clamp_min", "clamp_max", "abs", "neg", "exp"}
PIXELWISE |= {"sqrt", "square", "pow", "threshold", "clone", "logsigmoid", "softsign"}
PIXELWISE |= {"add", "sub", "mul", "div", "true_divide", "truediv", "rsub", "rtruediv", "isub", "itruediv"}
PIXELWISE |= {"maximum", "minimum"}


class Patched(torch.Tensor):
    """A tensor (B, C, H, W) known by its base images and one box per row; the whole of it exists once it is asked for.

    From then on `part` is None and the whole tensor is what later calls read and change in place.
    """

    part: Part | None
    _whole: torch.Tensor | None

    @staticmethod
    def __new__(cls, part: Part) -> Patched:
        made = torch.Tensor._make_wrapper_subclass(cls, part.shape, dtype=part.base.dtype, device=part.base.device)
        made.part, made._whole = part, None
        return made

    @property
    def known(self) -> Part:
        """The part, where the whole tensor was not asked for."""
        assert self.part is not None
        return self.part

    def whole(self) -> torch.Tensor:
        """The ordinary tensor."""
        if self._whole is None:
            self._whole, self.part = self.known.whole(), None
        return self._whole

    def change(self, part: Part | torch.Tensor) -> Patched:
        """Take that content, as an in-place function does."""
        self.part, self._whole = (part, None) if isinstance(part, Part) else (None, part)
        return self

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Patched({tuple(self.part.shape) if self.part else self._whole!r})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return answer(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:  # a call that torch made without asking `__torch_function__`
        return func(*whole(args), **whole(kwargs or {}))


def whole(values: Any) -> Any:
    """The same arguments with every patched tensor made whole."""
    return tree_map(lambda value: value.whole() if isinstance(value, Patched) else value, values)


def patched(images: torch.Tensor, owner: torch.Tensor, top: Axis, left: Axis, patch: torch.Tensor) -> Patched:
    """Rows that are `images[owner]` with a patch (B, C, h, w) put at (top, left), inside the plane."""
    box = Box(np.asarray(top, np.int64), np.asarray(left, np.int64), *patch.shape[2:])
    return Patched(Part(images, owner, box, patch))


def answer(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a function gives for patched arguments: patched again where its rule allows, else an ordinary tensor."""
    if raw_name(func) in DESCRIBING or (raw_name(func) == "__get__" and func.__self__.__name__ in PROPERTIES):  # type: ignore[attr-defined]
        return func(*args, **kwargs)
    kind = kind_of(func, args)
    rule = _RULES.get(kind) or (_pixelwise if kind in PIXELWISE else _same if kind in SAME else None)
    operands = _patched((*args, *kwargs.values()))
    found: Part | Patched | None = None
    if rule is not None and "out" not in kwargs and all(value.part is not None for value in operands):
        found = rule(func, kind, args, kwargs)
    in_place = is_in_place(func, args, kwargs)
    if found is None or (in_place and not isinstance(args[0], Patched)):
        return func(*whole(args), **whole(kwargs))
    if isinstance(found, Patched):
        return found
    part = replace(found, followed=operands[0].known.followed)
    part.followed.append(kind)
    return args[0].change(part) if in_place else Patched(part)


def _windowed(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    """A convolution or pooling: the outputs that see the box, computed from the box and the halo they need."""
    bound = arguments(func, kind, args, kwargs)
    part = bound["input"].known
    if (
        len(_patched(tuple(bound.values()))) > 1
        or raw_name(func) == "max_pool2d_with_indices"
        or bound.get("return_indices")
    ):
        return None
    geometry = geometry_of(kind, {**bound, "input": part.base})
    pool = _average(geometry, part, args, kwargs) if kind == "avg_pool2d" else {}
    if pool is None:
        return None
    base = func(*_bases(args), **_bases(kwargs))
    height, width = base.shape[2:]
    left, _, top, _ = geometry.padding
    reach = [d * (k - 1) for d, k in zip(geometry.dilation, geometry.kernel)]
    first_y, last_y = seeing(part.box.top, part.box.height, top, reach[0], geometry.stride[0], height)
    first_x, last_x = seeing(part.box.left, part.box.width, left, reach[1], geometry.stride[1], width)
    box = spanning(first_y, last_y, first_x, last_x, height, width)
    if box.height * box.width >= MOST * height * width:
        return None
    (down, across), (tall, wide) = geometry.stride, (box.height - 1, box.width - 1)
    source = Box(
        box.top * down - top, box.left * across - left, tall * down + reach[0] + 1, wide * across + reach[1] + 1
    )
    crop = part.crop(source, outside=geometry.padding_value or 0.0 if kind != "max_pool2d" else float("-inf"))
    if kind == "conv2d":
        weights = bound["weight"], bound.get("bias")
        patch = F.conv2d(crop, *weights, geometry.stride, 0, geometry.dilation, geometry.groups)
    elif kind == "max_pool2d":
        patch = F.max_pool2d(crop, geometry.kernel, geometry.stride, 0, geometry.dilation)
    else:
        patch = F.avg_pool2d(crop, geometry.kernel, geometry.stride, 0, **pool)
    return Part(base, part.owner, box, patch)


def _average(geometry: Geometry, part: Part, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options of an average whose divisor is the same everywhere; None where the border has its own."""
    given = {**dict(zip(("count_include_pad", "divisor_override"), args[5:])), **kwargs}
    include, divisor = given.get("count_include_pad", True), given.get("divisor_override")
    left, right, top, bottom = geometry.padding
    planes = zip(part.base.shape[2:], (top + bottom, left + right), geometry.kernel, geometry.stride)
    partial = geometry.ceil_mode and any((n + around - k) % s for n, around, k, s in planes)
    if divisor is None and (partial or (any(geometry.padding) and not include)):
        return None
    return {"divisor_override": divisor}


def _pad(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    """Padding of any mode: where the box is mirrored or repeated, the new box holds the copies too."""
    bound = pad_arguments(func, args, kwargs)
    part, sides, mode = bound["input"].known, tuple(bound["pad"]), bound["mode"]
    if len(sides) > 4 or min(sides) < 0:
        return None
    left, right, top, bottom = (*sides, 0, 0, 0, 0)[:4]
    base = func(*_bases(args), **_bases(kwargs))
    if mode == "constant":
        return Part(
            base, part.owner, Box(part.box.top + top, part.box.left + left, part.box.height, part.box.width), part.patch
        )
    height, width = part.base.shape[2:]
    rows, columns = sources(height, top, bottom, mode), sources(width, left, right, mode)
    first_y, last_y = copies(rows, part.box.top, part.box.height)
    first_x, last_x = copies(columns, part.box.left, part.box.width)
    box = spanning(first_y, last_y, first_x, last_x, len(rows), len(columns))
    if box.height * box.width >= MOST * len(rows) * len(columns):
        return None
    y, x = rows[box.top[:, None] + np.arange(box.height)], columns[box.left[:, None] + np.arange(box.width)]
    return Part(base, part.owner, box, part.at(y, x))


def _pixelwise(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    """A function of each pixel and the same pixel of the other arguments, or of constants over the plane."""
    others = [v for v in _flat((*args, *kwargs.values())) if isinstance(v, torch.Tensor) and not isinstance(v, Patched)]
    if not all(_is_constant(tensor) for tensor in others):
        return None
    return _together(func, args, kwargs)


def _together(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    """The function on the base images, and on the smallest boxes that hold the boxes of all operands."""
    parts = [value.known for value in _patched((*args, *kwargs.values()))]
    height, width = parts[0].base.shape[2:]
    if any(part.base.shape[2:] != (height, width) or part.owner is not parts[0].owner for part in parts):
        return None
    box = parts[0].box if len(parts) == 1 else union([part.box for part in parts], height, width)
    if box.height * box.width >= MOST * height * width:
        return None
    fresh = is_in_place(func, args, kwargs)

    def patch_of(value: Any) -> Any:
        if not isinstance(value, Patched):
            return value
        patch = value.known.patch if len(parts) == 1 else value.known.crop(box)
        return patch.clone() if fresh and len(parts) == 1 else patch

    base = func(*_bases(args, fresh), **_bases(kwargs, fresh))
    return Part(base, parts[0].owner, box, func(*tree_map(patch_of, args), **tree_map(patch_of, kwargs)))


def _cat(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    joined = args[0] if args else kwargs["tensors"]
    return _together(func, args, kwargs) if dim in (1, -3) and all(isinstance(v, Patched) for v in joined) else None


def _batch_norm(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    training = args[5] if len(args) > 5 else kwargs.get("training", False)
    return None if training or raw_name(func) != "batch_norm" else _together(func, args, kwargs)


def _prelu(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | None:
    return _together(func, args, kwargs)


def _dropout(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Patched | None:
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return None if training or not args else args[0]


def _same(func: Function, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Part | Patched | None:
    """A conversion, which gives the very tensor where there is nothing to convert."""
    if not isinstance(args[0], Patched) or len(_patched((*args, *kwargs.values()))) > 1:
        return None
    base = args[0].known.base
    return args[0] if func(base, *args[1:], **kwargs) is base else _together(func, args, kwargs)


_RULES: dict[str, Callable[..., Part | Patched | None]] = {
    **dict.fromkeys(("conv2d", "max_pool2d", "avg_pool2d"), _windowed),
    **dict.fromkeys(("dropout", "dropout2d", "feature_dropout"), _dropout),
    "pad": _pad,
    "cat": _cat,
    "batch_norm": _batch_norm,
    "prelu": _prelu,
}


def _is_constant(tensor: torch.Tensor) -> bool:
    """Whether a tensor that is broadcast has one value for the whole plane, and the same one for every row."""
    if tensor.numel() == 1:
        return True
    return tensor.ndim >= 3 and tuple(tensor.shape[-2:]) == (1, 1) and (tensor.ndim < 4 or tensor.shape[0] == 1)


def _flat(values: Any) -> list[Any]:
    return tree_flatten(values)[0]


def _patched(values: Any) -> list[Patched]:
    return [value for value in _flat(values) if isinstance(value, Patched)]


def _bases(values: Any, fresh: bool = False) -> Any:
    """The arguments with the base images in place of what is patched, copied where the function changes them."""

    def base(value: Any) -> Any:
        if not isinstance(value, Patched):
            return value
        return value.known.base.clone() if fresh else value.known.base

    return tree_map(base, values)
