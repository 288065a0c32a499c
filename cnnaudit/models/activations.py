"""The nonlinearities and poolings that the small networks can be built with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import nearest


class Heaviside(nn.Module):
    """The step function: 1 above 0, else 0; its gradient is replaced by 1 / (1 + |k x|)^2, since its own is 0.

    Args:
        slope: k, how sharply the surrogate gradient is centered on 0.

    Source: E. Neftci, H. Mostafa and F. Zenke, Surrogate gradient learning in spiking neural networks, 2019.

    Example:
        >>> x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
        >>> Heaviside(1.0)(x).sum().backward()
        >>> x.grad.tolist()
        [0.25, 1.0, 0.1111111119389534]
    """

    def __init__(self, slope: float = 2.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """0 or 1 in the shape of `x`."""
        stepped: torch.Tensor = _Step.apply(x, self.slope)
        return stepped


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient / (1 + (ctx.slope * x).abs()) ** 2, None


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "heaviside": Heaviside,
}

#: 2x2 pooling: the largest, the mean, and the root of the sum of squares.
POOLINGS: Mapping[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "average": lambda: nn.AvgPool2d(2),
    "l2": lambda: nn.LPPool2d(2, 2),
}


def activation_named(name: str) -> nn.Module:
    """A new activation.

    Raises:
        ModelError: there is none of that name.
    """
    return _named(ACTIVATIONS, name, "activation")


def pooling_named(name: str) -> nn.Module:
    """A new 2x2 pooling.

    Raises:
        ModelError: there is none of that name.
    """
    return _named(POOLINGS, name, "pooling")


def _named(known: Mapping[str, Callable[[], nn.Module]], name: str, what: str) -> nn.Module:
    if name not in known:
        raise ModelError(f"{what} must be {', '.join(known)}, got {name!r}{nearest(str(name), known)}")
    return known[name]()
