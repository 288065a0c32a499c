"""Where in the image each value of a forward pass stands, carried along with the values.

Beside every tensor of the pass go two of the same shape: the row and the column of the image, in pixels, that a value
is about; NaN where it is about none (a class token, a parameter). Calls that move values move their positions
likewise. A convolution or pooling puts an output at the middle of its window, a sum over places at the middle of
them, a residual connection and attention keep the position of the values that they are added to or that ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from cnnaudit.interventions.geometry import arguments, geometry_of, own_padding, pad_arguments
from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.module_paths import LayerError, Site, display_names
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import ACTIVATIONS, first_tensor, is_in_place
from cnnaudit.interventions.reach import ALONG, JOINING, MOVING, POINTWISE, REDUCING, tensors_in

Places = tuple[torch.Tensor, torch.Tensor]

_KEEPING = {
    *(ACTIVATIONS | POINTWISE | ALONG),
    *("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm", "rms_norm", "normalize"),
    *(
        "erf",
        "log1p",
        "masked_fill",
        "native_dropout",
        "addcmul",
        "native_batch_norm",
        "cudnn_batch_norm",
        "logsigmoid",
    ),
}
_ATTENDING = {"scaled_dot_product_attention", "multi_head_attention_forward"}
_RESHAPING = {*("view", "reshape", "flatten", "unflatten", "squeeze", "unsafe_view")}
_MOVED = MOVING | _RESHAPING | {"roll", "rot90", "fliplr", "flipud", "ravel", "view_as", "reshape_as", "swapdims"}
_AVERAGED = REDUCING | {"norm", "max", "min", "linalg_vector_norm", "vector_norm", "nanmean", "prod", "std_mean"}


class Positions(Observer):
    """Carries the positions through one forward pass, and keeps those of every call and module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._model = model
        self._places: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._calls: dict[str, tuple[Site, tuple[int, ...], Places | None]] = {}
        self._modules: dict[str, tuple[str, tuple[int, ...], Places | None]] = {}
        self._kinds: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __enter__(self) -> Any:
        entered = super().__enter__()
        self._hook = self._model.register_forward_pre_hook(self._begin)  # behind those that copy the images
        return entered

    def __exit__(self, *error: Any) -> None:
        self._hook.remove()
        super().__exit__(*error)

    def _begin(self, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Give every pixel of the images their own row and column."""
        images = inputs[0]
        height, width = images.shape[-2:]
        with unseen():
            rows = torch.arange(height, dtype=torch.float32, device=images.device)[:, None]
            columns = torch.arange(width, dtype=torch.float32, device=images.device)
            self._places[images] = (rows.expand(images.shape), columns.expand(images.shape))

    def calls(self) -> list[tuple[str, str, tuple[int, ...], Places | None]]:
        """Name, kind, output shape and positions of each call, in order; names as in `interventions.calls`."""
        found = list(self._calls.values())
        names = display_names([site for site, *_ in found])
        return [(name, site.kind, shape, places) for name, (site, shape, places) in zip(names, found)]

    def of(self, layer: str) -> tuple[str, tuple[int, ...], Places | None]:
        """Kind (of a module: that of the call whose output it returns), output shape and positions of a module or call.

        Raises:
            LayerError: the model has no such layer, the pass does not reach it, or it is called more than once.
        """
        name = self.scopes.resolve(layer)
        if name in self._calls:
            site, shape, places = self._calls[name]
            return site.kind, shape, places
        times = self.scopes.entries.get(name, 0)
        if times > 1:
            raise LayerError(f"layer {layer!r} is called {times} times in a pass; name one: {name}:1 … {name}:{times}")
        found = self._modules.get(f"{name}:1" if times else name)
        if found is None:
            raise self.scopes.missing(layer)
        return found

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        values = args[:1] if site.kind in ("to", "type_as") else (args, kwargs)
        known = any(t in self._places for t in tensors_in(values))
        before = first_tensor((*args, *kwargs.values()))
        output = func(*args, **kwargs)
        found = first_tensor(output)
        with unseen():
            if known and site.kind == "setitem":
                self._forget(args[0])
            elif known and before is not None and found is not None and found.is_floating_point():
                self._carry(site.kind, func, args, kwargs, output)
                if is_in_place(func, args, kwargs) and args[0] not in self._places:
                    self._forget(args[0])
        if found is not None and found.is_floating_point():
            kept = tuple(found.shape), self._places.get(found)  # type: ignore[no-untyped-call]
            self._calls[site.name] = (site, *kept)
            self._kinds[found] = site.kind
            self._modules.update({entry.name: (site.kind, *kept) for entry in site.answers})
        return output

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            kind, places = self._kinds.get(output, ""), self._places.get(output)  # type: ignore[no-untyped-call]
            self._modules[entry.name] = kind, tuple(output.shape), places

    def _forget(self, changed: torch.Tensor) -> None:
        """A tensor written to in part, and the one it is a view of, hold values of unknown places."""
        for tensor in (changed, changed._base):
            if tensor is not None:
                self._places.pop(tensor, None)  # type: ignore[no-untyped-call]

    def _carry(self, kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        outputs = [t for t in tensors_in(output) if t.is_floating_point()]
        if kind in _MOVED or kind in JOINING:
            moved = [tensors_in(self._moved(kind, func, args, kwargs, k)) for k in (0, 1)]
            found: list[Places | None] = list(zip(*moved))
        else:
            found = [self._mixed(kind, func, args, kwargs, outputs[0])]
        for tensor, places in zip(outputs, found):
            if places is not None and places[0].shape == places[1].shape == tensor.shape:
                self._places[tensor] = places
            else:
                self._places.pop(tensor, None)  # type: ignore[no-untyped-call]

    def _moved(self, kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], k: int) -> Any:
        """Rows (k = 0) or columns (1) of what a call only moves."""

        def place(value: Any) -> Any:
            found = self._places.get(value) if torch.is_tensor(value) else None  # type: ignore[no-untyped-call]
            if found is not None:
                return found[k].contiguous() if kind in _RESHAPING else found[k]
            if isinstance(value, torch.Tensor):
                return torch.full(value.shape, torch.nan, device=value.device)
            return type(value)(place(inner) for inner in value) if isinstance(value, (tuple, list)) else value

        if not args:
            name, value = next(iter(kwargs.items()))
            return func(**{**kwargs, name: place(value)})
        return func(place(args[0]), *args[1:], **kwargs)

    def _mixed(
        self, kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor
    ) -> Places | None:
        """The positions of a call that computes, None where it leaves them unknown."""
        inputs = [(self._places[t], t) for t in tensors_in((args, kwargs)) if t in self._places]
        places = inputs[0][0]
        if kind in _KEEPING:
            return _agreed([found for found, _ in inputs], output)
        if kind in _ATTENDING:
            asking = self._places.get(args[0] if args else kwargs["query"])  # type: ignore[no-untyped-call]
            return _along(asking, -1, output) if asking is not None else None
        if kind in ("linear", "addmm"):
            return _along(places, -1, output)
        if kind in ("matmul", "bmm", "mm"):
            return self._product(args, kwargs, output)
        if kind in _AVERAGED:
            return _averaged(places, args, kwargs, output)
        if kind == "pad":
            return _padded(places, pad_arguments(func, args, kwargs)["pad"])
        if places[0].ndim == 4 == output.ndim and inputs[0][1] is first_tensor((*args, *kwargs.values())):
            return _windows(kind, func, args, kwargs, places, output)
        return None

    def _product(self, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor) -> Places | None:
        """Rows of the left or columns of the right factor, whichever still tell places apart; the left where both."""
        left, right = (self._places.get(t) for t in tensors_in((args, kwargs))[:2])  # type: ignore[no-untyped-call]
        found = [_along(left, -1, output)] if left is not None and left[0].ndim > 1 else []
        found += [_along(right, -2, output)] if right is not None and right[0].ndim > 1 else []
        return max(found, key=_spread) if found else None


def _windows(
    kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], places: Places, output: torch.Tensor
) -> Places | None:
    """The middle of each window of a convolution, pooling or resampling of planes (N, C, H, W)."""
    whole = (_mean(places[0], 1), _mean(places[1], 1)) if "conv" in kind else places
    for axis in (2, 3):
        before, after = places[0].shape[axis], output.shape[axis]
        steps = torch.arange(after, dtype=torch.float32, device=output.device)
        middles = (steps + 0.5) * before / after - 0.5
        if kind in ("conv2d", "max_pool2d", "avg_pool2d"):
            bound = arguments(func, kind, args, kwargs)
            shape, sides = geometry_of(kind, bound), own_padding(kind, bound).sides
            stride, kernel, dilation = (pair[axis - 2] for pair in (shape.stride, shape.kernel, shape.dilation))
            if abs(before - after * stride) >= stride:  # the windows leave a margin out or go over it
                middles = steps * stride - sides[2 if axis == 2 else 0] + dilation * (kernel - 1) / 2
        elif not kind.startswith(
            ("adaptive_", "interpolate", "upsample", "conv_transpose2d", "lp_pool2d", "grid_pool")
        ):
            return None
        whole = (_at(whole[0], axis, middles), _at(whole[1], axis, middles))
    return whole[0].expand(output.shape), whole[1].expand(output.shape)


def _mean(plane: torch.Tensor, axis: int) -> torch.Tensor:
    """The mean position along an axis, of the values that have one."""
    return plane.narrow(axis, 0, 1) if plane.stride(axis) == 0 else plane.nanmean(axis, keepdim=True)


def _at(plane: torch.Tensor, axis: int, middles: torch.Tensor) -> torch.Tensor:
    """The plane's positions at fractional indices along an axis, by straight lines, also beyond its ends."""
    length = plane.shape[axis]
    if plane.stride(axis) == 0 or length == 1:
        return plane.narrow(axis, 0, 1).expand(*plane.shape[:axis], len(middles), *plane.shape[axis + 1 :])
    below = middles.floor().clamp(0, length - 2)
    share = (middles - below).view(-1, *[1] * (plane.ndim - 1 - axis % plane.ndim))
    first, second = (plane.index_select(axis, (below + k).long()) for k in (0, 1))
    return torch.where(share == 0, first, first + share * (second - first))


def _padded(places: Places, amounts: Sequence[int]) -> Places:
    """Padding stands where the grid goes on; negative amounts crop."""
    for number in range(len(amounts) // 2):
        before, after = int(amounts[2 * number]), int(amounts[2 * number + 1])
        if before or after:
            axis = places[0].ndim - 1 - number
            length = places[0].shape[axis] + before + after
            middles = torch.arange(length, dtype=torch.float32, device=places[0].device) - before
            places = (_at(places[0], axis, middles), _at(places[1], axis, middles))
    return places


def _along(places: Places, axis: int, output: torch.Tensor) -> Places:
    """What a sum along an axis makes of positions: one position for all its results there."""
    rows, columns = (_mean(plane, axis) for plane in places)
    shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        rows.shape, (*output.shape[:axis], 1, *output.shape[len(output.shape) + axis + 1 :])
    )
    if len(shape) != output.ndim or any(a not in (1, b) for a, b in zip(shape, output.shape)):
        unknown = torch.full((1,) * output.ndim, torch.nan, device=output.device).expand(output.shape)
        return unknown, unknown
    return rows.expand(output.shape), columns.expand(output.shape)


def _averaged(places: Places, args: Sequence[Any], kwargs: Mapping[str, Any], output: torch.Tensor) -> Places | None:
    """The middle of the places that a sum or mean takes together."""
    dims = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    if not isinstance(dims, (int, tuple, list)):
        return None
    keep = output.ndim == places[0].ndim
    rows, columns = (plane.nanmean(dims, keepdim=keep) for plane in places)
    return (rows, columns) if rows.shape == output.shape else None


def _agreed(found: Sequence[Places], output: torch.Tensor) -> Places | None:
    """The position of values that meet: of the operand that tells the most places apart.

    A gate, a bias or a pooled value has none of its own. Two operands that both have, and disagree about them by half
    of all they span (an image and its mirror image), leave none.
    """
    full = [places for places in found if places[0].shape == output.shape]
    if not full:
        wide = [tuple(plane.expand(output.shape) for plane in places) for places in found]
        full = [(places[0], places[1]) for places in wide]
    if len(full) == 1:
        return full[0]
    spans = [_spread(places) for places in full]
    best = max(range(len(full)), key=spans.__getitem__)
    for places, span in zip(full, spans):
        if places is not full[best] and span >= 0.5 * spans[best] > 0:
            apart = max(float((a - b).abs().nan_to_num(0).max()) for a, b in zip(places, full[best]))
            if apart > 0.5 * spans[best]:
                return None
    return full[best]


def _spread(places: Places) -> float:
    """How far apart the positions of a tensor lie, in pixels."""
    spans = []
    for plane in map(distinct, places):
        high, low = plane.nan_to_num(-torch.inf).max(), plane.nan_to_num(torch.inf).min()
        spans.append(float(high - low) if high >= low else 0.0)
    return max(spans)


def distinct(plane: torch.Tensor) -> torch.Tensor:
    """The tensor with one entry along every axis that it was expanded along."""
    for axis, stride in enumerate(plane.stride()):
        if stride == 0 and plane.shape[axis] > 1:
            plane = plane.narrow(axis, 0, 1)
    return plane
