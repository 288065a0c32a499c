"""The pixels that each value of a forward pass was computed from, carried along with the values.

Beside every tensor of the pass go four of the same shape: minus the first row, the last row, minus the first column
and the last column of the image that a value depends on; -inf where it depends on none. Whatever combines values takes
the maximum of each, and whatever moves values moves them likewise, with -inf for padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.geometry import arguments, geometry_of, own_padding
from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.module_paths import LayerError, Site
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import ACTIVATIONS, first_tensor, is_in_place, raw_name

Edges = tuple[torch.Tensor, ...]

POINTWISE = ACTIVATIONS | {
    *("abs", "add", "alias", "batch_norm", "clone", "contiguous", "detach", "div", "dropout", "exp", "float", "half"),
    *("hardsigmoid", "lerp", "log", "maximum", "minimum", "mul", "neg", "pow", "rsqrt", "sigmoid", "sqrt", "square"),
    *("sub", "rsub", "tanh", "to", "truediv", "true_divide", "type", "where", "dropout2d", "feature_dropout", "double"),
    *("isub", "itruediv", "bfloat16", "cpu", "cuda", "type_as", "stochastic_depth", "_to_copy", "to_copy"),
}
MOVING = {
    *("chunk", "expand", "flatten", "flip", "getitem", "index_select", "narrow", "permute", "repeat", "reshape"),
    *("roll", "select", "slice", "split", "split_with_sizes", "squeeze", "swapaxes", "t", "transpose", "unbind"),
    *("tensor_split", "unflatten", "unsqueeze", "view", "channel_shuffle", "pixel_shuffle", "pixel_unshuffle"),
    *("movedim", "moveaxis"),
}
JOINING = {"cat", "concat", "concatenate", "stack", "hstack", "vstack"}
REDUCING = {"mean", "sum", "amax", "amin", "var", "std", "logsumexp"}
ALONG = {"softmax", "log_softmax", "cumsum"}


class Reach(Observer):
    """Carries the edges through one forward pass, and keeps those of one layer.

    Raises:
        LayerError: the model has no such layer.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model)
        self._name, self._layer = layer, self.scopes.resolve(layer)
        self._edges: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._found: list[Edges | str | None] = []

    def begin(self, images: torch.Tensor) -> torch.Tensor:
        """Give every pixel of the images its own row and column; returns the images."""
        height, width = images.shape[-2:]
        rows = torch.arange(height, dtype=torch.float32, device=images.device)[:, None]
        columns = torch.arange(width, dtype=torch.float32, device=images.device)
        self._edges[images] = tuple(edge.expand(images.shape).clone() for edge in (-rows, rows, -columns, columns))
        return images

    def found(self) -> Edges:
        """The edges of the layer's output."""
        if not self._found:
            raise self.scopes.missing(self._name)
        if len(self._found) > 1 and ":" not in self._name:
            times = len(self._found)
            name = self._name
            raise LayerError(f"layer {name!r} is called {times} times in a pass; name one: {name}:1 … {name}:{times}")
        edges = self._found[0]
        if edges is None:
            raise UnsupportedError(f"layer {self._name!r} does not depend on the image, or returns no single tensor")
        if isinstance(edges, str):
            raise UnsupportedError(f"the receptive field of layer {self._name!r} is not known: {edges}")
        return edges

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        # of `to(x)` and `type_as(x)` only the type and the device of x arrive
        values = args[:1] if site.kind in ("to", "type_as") else (args, kwargs)
        known = [self._edges.get(t) for t in tensors_in(values)]  # type: ignore[no-untyped-call]
        output = func(*args, **kwargs)
        if any(edges is not None for edges in known):
            with unseen():
                self._carry(site, func, args, kwargs, output)
        if site.name == self._layer or any(self._layer in (entry.path, entry.name) for entry in site.answers):
            self._keep(first_tensor(output))
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> None:
        if self._layer in (entry.path, entry.name):
            self._keep(output if isinstance(output, torch.Tensor) else None)

    def _keep(self, output: torch.Tensor | None) -> None:
        edges = self._edges.get(output) if output is not None else None  # type: ignore[no-untyped-call]
        self._found.append(edges if edges is None or isinstance(edges, str) else tuple(edge.clone() for edge in edges))

    def _carry(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        """Give the output's tensors their edges, or the reason why they have none."""
        outputs = [t for t in tensors_in(output) if t.is_floating_point()]
        if site.kind == "setitem":
            outputs = [args[0]]
        before = [self._edges[t] for t in tensors_in((args, kwargs)) if t in self._edges]
        reasons = [edges for edges in before if isinstance(edges, str)]
        if not outputs or site.kind.startswith(("new_", "zeros_like", "ones_like", "empty_like", "full_like")):
            return
        if reasons:
            edges: list[Edges | str] = [reasons[0]] * len(outputs)
        elif self._changes_a_part(site, func, args, kwargs):
            edges = [f"{site.name} changes a part of a tensor in place"] * len(outputs)
            if args[0]._is_view():
                self._edges[args[0]._base] = edges[0]
        else:
            edges = self._propagated(site, func, args, kwargs, outputs)
        for tensor, found in zip(outputs, edges):
            self._edges[tensor] = found

    @staticmethod
    def _changes_a_part(site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether other tensors that share the memory change too, in what they depend on."""
        in_place = is_in_place(func, args, kwargs) and args[0]._is_view() and site.kind not in ACTIVATIONS
        return site.kind == "setitem" or in_place

    def _propagated(
        self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: list[torch.Tensor]
    ) -> list[Edges | str]:
        parts: list[list[torch.Tensor]] = []
        for k in range(4):
            try:
                moved = self._one(site.kind, func, args, kwargs, outputs[0], k)
            except NotImplementedError:
                return [f"its values pass through {site.name}, whose reach is not known"] * len(outputs)
            parts.append(tensors_in(moved))
        return [tuple(part[i] for part in parts) for i in range(len(outputs))]

    def _one(
        self, kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor, k: int
    ) -> Any:
        """One of the four edges of a call's output."""

        def edge(value: Any) -> Any:
            found = self._edges.get(value) if isinstance(value, torch.Tensor) else None  # type: ignore[no-untyped-call]
            if found is not None:
                return found[k]
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                return torch.full(value.shape, -torch.inf, device=value.device)
            return type(value)(edge(inner) for inner in value) if isinstance(value, (tuple, list)) else value

        first = edge(args[0]) if args else edge(next(iter(kwargs.values())))
        if kind in JOINING:
            return func(first, *args[1:], **kwargs)
        if kind in MOVING:
            return func(first.contiguous(), *args[1:], **kwargs)  # `view` asks for the layout of the values
        if kind == "pad":
            return _padded(func, first, args, kwargs)
        if kind in POINTWISE:
            return _maximum([edge(t) for t in tensors_in((args, kwargs)) if t in self._edges], output)
        if kind in REDUCING:
            return _reduced(first, output, args, kwargs)
        return _combined(kind, func, first, args, kwargs, output, edge)


def _combined(
    kind: str,
    func: Function,
    first: torch.Tensor,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    output: torch.Tensor,
    edge: Callable[[Any], Any],
) -> torch.Tensor:
    """Calls that mix values: windows, channels, whole rows."""
    if kind == "conv2d":
        return _convolved(first, arguments(func, kind, args, kwargs), output)
    if kind == "conv_transpose2d":
        return _transposed(first, func, args, kwargs, output)
    if kind in ("max_pool2d", "avg_pool2d"):
        return _pooled(first, arguments(func, kind, args, kwargs))
    if kind in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return F.adaptive_max_pool2d(first, output.shape[-2:])
    if kind in ("linear", "addmm"):
        rows = edge(args[1]) if kind == "addmm" else first
        return rows.amax(-1, keepdim=True).expand(output.shape).clone()
    if kind in ALONG:
        dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
        return first.amax(dim, keepdim=True).expand(output.shape).clone()
    if kind in ("matmul", "bmm", "mm"):
        return torch.maximum(first.amax(-1, keepdim=True), edge(args[1]).amax(-2, keepdim=True))
    if kind == "group_norm":
        groups = first.reshape(len(first), args[1], -1)
        return groups.amax(2, keepdim=True).expand(groups.shape).reshape(first.shape)
    if kind in ("layer_norm", "instance_norm"):
        normalized = len(args[1]) if kind == "layer_norm" else first.ndim - 2
        return first.amax(tuple(range(-normalized, 0)), keepdim=True).expand(first.shape).clone()
    raise NotImplementedError(kind)


def _convolved(edge: torch.Tensor, bound: Mapping[str, Any], output: torch.Tensor) -> torch.Tensor:
    """The largest value in each window over the channels of each group."""
    geometry = geometry_of("conv2d", bound)
    mixed = edge.reshape(len(edge), geometry.groups, -1, *edge.shape[2:]).amax(2)
    padded = F.pad(mixed, own_padding("conv2d", bound).sides, value=-torch.inf)
    window = F.max_pool2d(padded, geometry.kernel, geometry.stride, dilation=geometry.dilation)
    return window.repeat_interleave(output.shape[1] // geometry.groups, 1)


def _transposed(
    edge: torch.Tensor, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor
) -> torch.Tensor:
    """The largest value in each window of the plane with stride - 1 gaps between its values."""
    names = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    decomposed = raw_name(func) == "convolution"
    bound = arguments(func, "conv2d", args, kwargs) if decomposed else {**dict(zip(names, args)), **kwargs}
    stride, padding, dilation = (
        (value, value) if isinstance(value := bound.get(name, default), int) else (value[0], value[-1])
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    groups, kernel = int(bound.get("groups", 1)), bound["weight"].shape[-2:]
    mixed = edge.reshape(len(edge), groups, -1, *edge.shape[2:]).amax(2)
    sides = [(length - 1) * s + 1 for length, s in zip(edge.shape[2:], stride)]
    plane = mixed.new_full((*mixed.shape[:2], *sides), -torch.inf)
    plane[..., :: stride[0], :: stride[1]] = mixed
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    before = [r - p for r, p in zip(reach, padding)]
    after = [n + r - b - side for n, r, b, side in zip(output.shape[2:], reach, before, sides)]
    padded = F.pad(plane, (before[1], after[1], before[0], after[0]), value=-torch.inf)
    window = F.max_pool2d(padded, tuple(kernel), 1, dilation=dilation)
    return window.repeat_interleave(output.shape[1] // groups, 1)


def _pooled(edge: torch.Tensor, bound: Mapping[str, Any]) -> torch.Tensor:
    """The largest value in each window."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    settings = {name: bound[name] for name in names if bound.get(name) not in (None, [])}
    pooled: torch.Tensor = F.max_pool2d(edge, **settings)
    return pooled


def _reduced(edge: torch.Tensor, output: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """The largest value along the dimensions that a sum or mean takes."""
    dims = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    if dims is None:
        return edge.amax()
    return edge.amax(dims, keepdim=output.ndim == edge.ndim)


def _padded(func: Function, edge: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Padding with a constant brings no pixel; other modes repeat pixels, with their edges."""
    bound: dict[str, Any] = {**dict(zip(("input", "pad", "mode", "value"), args)), **kwargs}
    name = getattr(getattr(func, "overloadpacket", func), "__name__", "")
    mode = "constant" if name == "constant_pad_nd" else bound.get("mode", "constant")
    if mode == "constant" and not name.startswith(("reflection", "replication")):
        return F.pad(edge, tuple(bound["pad"]), value=-torch.inf)
    moved: torch.Tensor = func(edge, *args[1:], **kwargs)
    return moved


def _maximum(edges: list[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    """The larger of all, value by value, in the output's shape."""
    result = edges[0].expand(output.shape).clone()
    for edge in edges[1:]:
        result = torch.maximum(result, edge.expand(output.shape))
    return result


def tensors_in(value: Any) -> list[torch.Tensor]:
    """All tensors in nested tuples, lists and mappings."""
    return list(_each(value))


def _each(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _each(inner)
    elif isinstance(value, Mapping):
        yield from _each(list(value.values()))
