"""DeepLIFT's multipliers: nonlinearities with finite differences from a reference pass in place of derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch._ops import OpOverload

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.geometry import arguments
from cnnaudit.interventions.module_paths import Site
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import is_in_place, raw_name


def _kinds(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Affine in everything that depends on the image.
_AFFINE = _kinds(
    """
    adaptive_avg_pool2d add affine_grid alias avg_pool2d bfloat16 broadcast_to cat channel_shuffle chunk clone
    concat concatenate constant_pad_nd contiguous copy cumsum double dropout dropout2d expand expand_as flatten flip
    float fold getitem half hstack index index_select interpolate isub lift_fresh mean movedim narrow
    native_channel_shuffle neg negative pad permute pixel_shuffle pixel_unshuffle positive ravel repeat reshape
    reshape_as roll rsub select select_scatter setitem slice slice_scatter split split_with_sizes squeeze stack sub
    subtract sum swapaxes swapdims t tile to to_copy transpose type type_as unbind unflatten unfold unsafe_view
    unsqueeze upsample upsample_bilinear2d upsample_nearest2d view view_as vstack
    """
)
# Affine while only one of the factors depends on the image.
_PRODUCTS = _kinds(
    """
    addmm bmm conv1d conv2d conv_transpose2d convolution einsum linear matmul mm mul multiply rmatmul
    """
)
_QUOTIENTS = _kinds("div divide itruediv true_divide truediv")
# Elementwise: broken lines, and smooth curves.
_PIECEWISE = _kinds(
    """
    abs clamp clamp_max clamp_min hardshrink hardsigmoid hardtanh leaky_relu maximum minimum prelu relu relu6
    softshrink threshold
    """
)
_SMOOTH = _kinds(
    """
    celu cos elu erf exp expm1 gelu hardswish log log1p log_sigmoid logsigmoid mish pow rdiv reciprocal rsqrt
    rtruediv selu sigmoid silu sin softplus softsign sqrt square tanh tanhshrink
    """
)
_POOLS: dict[str, Callable[..., Any]] = {"adaptive_max_pool2d": F.adaptive_max_pool2d, "max_pool2d": F.max_pool2d}
# Of a tensor's form only; a comparison would depend on the image without a gradient.
_FORM = {
    "assert_tensor_metadata",
    "dim",
    "is_contiguous",
    "is_floating_point",
    "len",
    "numel",
    "size",
    "stride",
    "sym_size",
}


class Multipliers(Observer):
    """Passes inside `reference()` are remembered; those after it propagate multipliers where gradients would be.

    Raises:
        UnsupportedError: a call on what depends on the image for which no multiplier is defined.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._kept: dict[str, list[torch.Tensor]] = {}
        self._remembering = False

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The pass of the reference images, as many as images."""
        self._kept.clear()
        self._remembering = True
        try:
            yield
        finally:
            self._remembering = False

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        nonlinear = site.kind in _PIECEWISE or site.kind in _SMOOTH or site.kind in _POOLS
        if self._remembering and nonlinear:
            with unseen():
                self._kept[site.name] = [tensor.clone() for tensor in _tensors((*args, *kwargs.values()))]
        given = _tensors((*args, *kwargs.values()))
        images = [tensor for tensor in given if tensor.requires_grad]
        if self._remembering or not images:
            return func(*args, **kwargs)
        if not nonlinear:
            _require_affine(site, func, args, kwargs, images)
            return func(*args, **kwargs)
        if len(images) > 1:
            raise _undefined(site, "of two activations")
        source = images[0]
        reference = self._reference(site, next(i for i, tensor in enumerate(given) if tensor is source), source)
        if site.kind in _POOLS:
            return _pool(site.kind, func, args, kwargs, reference)

        def function(x: torch.Tensor) -> Any:
            swapped = {name: x if value is source else value for name, value in kwargs.items()}
            return func(*(x if value is source else value for value in args), **swapped)

        multiplier = _rescale(function, source, reference, site.kind in _SMOOTH)
        return _Scaled.apply(source, lambda: function(source), multiplier, is_in_place(func, args, kwargs))

    def _reference(self, site: Site, position: int, source: torch.Tensor) -> torch.Tensor:
        """The same argument in the reference pass."""
        kept = self._kept.get(site.name, [])
        if position >= len(kept) or kept[position].shape != source.shape:
            raise UnsupportedError(
                f"{site.name}: DeepLIFT needs a pass that does not depend on the image; this one does"
            )
        return kept[position]


class _Scaled(torch.autograd.Function):
    """An elementwise call that passes gradients on times a multiplier."""

    @staticmethod
    def forward(
        ctx: Any, source: torch.Tensor, call: Callable[[], torch.Tensor], multiplier: torch.Tensor, in_place: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(multiplier)
        output = call()
        if in_place:
            ctx.mark_dirty(source)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.saved_tensors[0], None, None, None


class _Pooled(torch.autograd.Function):
    """A max pooling that passes gradients on to one place of each window, times a multiplier."""

    @staticmethod
    def forward(
        ctx: Any, plane: torch.Tensor, output: torch.Tensor, multiplier: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        ctx.shape = plane.shape
        ctx.save_for_backward(multiplier, places)
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        multiplier, places = ctx.saved_tensors
        down = (gradients[0] * multiplier).flatten(-2)
        spread = down.new_zeros(*ctx.shape[:-2], ctx.shape[-2] * ctx.shape[-1]).scatter_add(-1, places, down)
        return spread.view(ctx.shape), None, None, None


def _rescale(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, reference: torch.Tensor, smooth: bool
) -> torch.Tensor:
    """(f(x) - f(x')) / (x - x'), and f'(x) where x and x' are so near that rounding would rule."""
    with unseen(), torch.no_grad():
        x, reference = x.detach(), reference.detach()
        difference = x - reference
        rise = function(x.clone()) - function(reference.clone())
        near = difference.abs() <= (torch.finfo(x.dtype).eps ** 0.5 if smooth else 0)
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(function(leaf.clone()).sum(), leaf)
        return torch.where(near, slope, rise / torch.where(near, torch.ones_like(x), difference))


def _pool(kind: str, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], reference: torch.Tensor) -> Any:
    """Max pooling: y - y' belongs to the largest place of x where y >= y', else to the largest place of x'."""
    with unseen(), torch.no_grad():
        if kind == "max_pool2d":
            options = dict(arguments(func, kind, args, kwargs))
        else:
            options = {**dict(zip(("input", "output_size"), args)), **kwargs}
        options.pop("return_indices", None)
        plane = options.pop("input")
        options = {name: value for name, value in options.items() if value is not None and value != []}
        x = plane.detach()
        y, ours = _POOLS[kind](x, return_indices=True, **options)
        z, theirs = _POOLS[kind](reference, return_indices=True, **options)
        places = torch.where(y >= z, ours, theirs).flatten(-2)
        fall = (x.flatten(-2).gather(-1, places) - reference.flatten(-2).gather(-1, places)).view(y.shape)
        multiplier = torch.where(fall == 0, torch.ones_like(y), (y - z) / torch.where(fall == 0, 1, fall))
    output = _Pooled.apply(plane, y, multiplier, places)
    pair = len(func._schema.returns) == 2 if isinstance(func, OpOverload) else "indices" in raw_name(func)
    return (output, ours) if pair or kwargs.get("return_indices") else output


def _require_affine(
    site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], images: Sequence[torch.Tensor]
) -> None:
    """Raise UnsupportedError unless the call is affine in what depends on the images."""
    kind = site.kind
    if kind in _FORM or (kind in _AFFINE and not (kind.startswith("dropout") and _training(args, kwargs, 2))):
        return
    if kind in _PRODUCTS:
        factors = [image for image in images if not (kind == "addmm" and image is args[0])]
        if len(factors) > 1:
            raise _undefined(site, "of two activations")
        return
    if kind in _QUOTIENTS and len(images) == 1 and args[0] is images[0]:
        return
    if kind == "batch_norm" and len(images) == 1 and not _training(args, kwargs, 5):
        return
    raise _undefined(site, "in training mode" if kind in ("batch_norm", "dropout") else "")


def _training(args: Sequence[Any], kwargs: Mapping[str, Any], position: int) -> bool:
    """Whether the call's `training` says so; the decomposed batch normalization has a number in its place."""
    asked = kwargs.get("training", args[position] if len(args) > position else False)
    return asked is True


def _undefined(site: Site, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"{site.name}: DeepLIFT's rescale rule is not defined for {site.kind}{' ' + why if why else ''}; "
        "use integrated gradients, which are complete too"
        + (", or explain the logits before it" if "softmax" in site.kind else "")
    )


def _tensors(values: Sequence[Any]) -> list[torch.Tensor]:
    """The tensors among the values and in their lists."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
