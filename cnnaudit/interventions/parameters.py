"""Parameters that enter the graph as constants: gradients of the images alone, and faster for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.overrides import TorchFunctionMode

from cnnaudit.interventions.geometry import arguments, geometry_of, own_padding
from cnnaudit.interventions.observer import unseen
from cnnaudit.interventions.op_types import kind_of


class ConstantParameters(TorchFunctionMode):
    """Every call inside the context gets the parameters detached; the model itself is not touched.

    No gradient of a weight is computed or asked of autograd, and what still requires one depends on the images. The
    gradient of a batch normalization in evaluation mode is one product then, and that of a strided first convolution
    (few channels, large kernel) a convolution without stride. Since batches may be laid out in `channels_last`, a
    `view` that such a layout does not allow becomes a `reshape`. Answers do not change.

    Example:
        >>> import torch
        >>> net, images = torch.nn.Linear(2, 1), torch.ones(1, 2)
        >>> with ConstantParameters():
        ...     net(images).requires_grad
        False
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "__get__":  # a property of a tensor
            return func(*args, **kwargs)
        args, kwargs = [_constant(arg) for arg in args], {name: _constant(value) for name, value in kwargs.items()}
        kind = kind_of(func, args)
        if kind in _QUICK:
            return _QUICK[kind](func, args, kwargs)
        return func(*args, **kwargs)


def _constant(value: Any) -> Any:
    """The value with its parameters detached."""
    if isinstance(value, nn.Parameter):
        with unseen():
            return value.detach()
    if type(value) in (list, tuple):
        return type(value)(_constant(part) for part in value)
    return value


def _view(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A view, or where the layout of the tensor has none, the copy that it would be."""
    try:
        return func(*args, **kwargs)
    except RuntimeError as error:
        if "stride" not in str(error):
            raise
        return _as_strided(func, args, kwargs)


def _as_strided(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The call on the tensor in its plain layout."""
    with unseen():
        plain = args[0].contiguous()
    return func(plain, *args[1:], **kwargs)


def _batch_norm(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Batch normalization by constant statistics, whose derivative is a constant factor for each channel."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    bound = {**dict(zip(names, args)), **kwargs}
    plane, variance = bound["input"], bound.get("running_var")
    if func is not F.batch_norm or bound.get("training") or variance is None or not _differentiated(plane, variance):
        return func(*args, **kwargs)
    with unseen(), torch.no_grad():
        scale = (variance + bound.get("eps", 1e-5)).rsqrt()
        if bound.get("weight") is not None:
            scale = scale * bound["weight"]
        scale = scale.to(plane.dtype).view(-1, *[1] * (plane.ndim - 2))
    return _Scaled.apply(plane, lambda: func(*args, **kwargs), scale)


def quick_conv2d(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A convolution; on a CPU the gradient of a strided one of few channels is slow by itself."""
    bound = arguments(func, "conv2d", args, kwargs)
    plane, weight = bound["input"], bound["weight"]
    if func is not torch.conv2d or plane.device.type != "cpu" or not _differentiated(plane, weight):
        return func(*args, **kwargs)
    if not is_strided_stem(weight, bound.get("stride", 1)) or isinstance(bound.get("padding"), str):
        with unseen():  # the weight is laid out once for both directions
            if len(args) > 1 and args[1] is weight and plane.is_contiguous(memory_format=torch.channels_last):
                args = [plane, weight.contiguous(memory_format=torch.channels_last), *args[2:]]
        return func(*args, **kwargs)
    geometry = geometry_of("conv2d", bound)
    (stride, other), (left, _, top, _) = geometry.stride, own_padding("conv2d", bound).sides
    if stride != other or geometry.dilation != (1, 1) or geometry.groups > 1:
        return func(*args, **kwargs)
    return _Strided.apply(plane, lambda: func(*args, **kwargs), weight, stride, (top, left))


def is_strided_stem(weight: torch.Tensor, stride: int | Sequence[int]) -> bool:
    """Whether a convolution is like the first of a large network: few channels, a large kernel, in strides."""
    steps = stride if isinstance(stride, int) else min(stride)
    return weight.shape[1] <= 4 and min(weight.shape[2:]) >= 5 and steps >= 2


def _differentiated(plane: torch.Tensor, *constants: torch.Tensor) -> bool:
    """Whether the graph of the plane, and of it alone, is being made."""
    return torch.is_grad_enabled() and plane.requires_grad and not any(value.requires_grad for value in constants)


class _Scaled(torch.autograd.Function):
    """A call whose derivative is a given factor."""

    @staticmethod
    def forward(ctx: Any, plane: torch.Tensor, call: Callable[[], torch.Tensor], scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(scale)
        return call()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        with unseen():
            return gradients[0] * ctx.saved_tensors[0], None, None


class _Strided(torch.autograd.Function):
    """A strided convolution whose gradient is computed phase by phase of the stride, in one convolution."""

    @staticmethod
    def forward(
        ctx: Any,
        plane: torch.Tensor,
        call: Callable[[], torch.Tensor],
        weight: torch.Tensor,
        stride: int,
        corner: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.corner, ctx.size = stride, corner, plane.shape[-2:]
        return call()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (weight,) = ctx.saved_tensors
        with unseen():
            found = strided_gradient(gradients[0], weight.to(gradients[0].dtype), ctx.stride, ctx.corner, ctx.size)
        return found, None, None, None, None


def strided_gradient(
    gradient: torch.Tensor, weight: torch.Tensor, stride: int, corner: tuple[int, int], size: Sequence[int]
) -> torch.Tensor:
    """The gradient of the input of a strided convolution: a convolution for each phase, shuffled into one plane.

    The input pixel stride * a + r takes part in the output pixels a - t by the weights r + stride * t.

    Args:
        gradient: of the output, (N, K, h, w).
        weight: (K, C, kernel height, kernel width).
        corner: rows of padding above and columns to the left.
        size: height and width of the input.

    Returns:
        (N, C, height, width).
    """
    out, channels, height, width = weight.shape
    rows, columns = -(-height // stride), -(-width // stride)
    taps = F.pad(weight, (0, columns * stride - width, 0, rows * stride - height))
    taps = taps.view(out, channels, rows, stride, columns, stride).permute(1, 3, 5, 0, 2, 4).flip(4, 5)
    phases = F.conv2d(gradient, taps.reshape(-1, out, rows, columns), padding=(rows - 1, columns - 1))
    plane = F.pixel_shuffle(phases, stride)[..., corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
    return F.pad(plane, (0, size[1] - plane.shape[-1], 0, size[0] - plane.shape[-2]))


_QUICK: dict[str, Callable[..., Any]] = {
    "as_strided": _as_strided,
    "batch_norm": _batch_norm,
    "conv2d": quick_conv2d,
    "view": _view,
    "view_as": _view,
}
