"""Parameters that enter the graph as constants: gradients of the images, without those of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class ConstantParameters(TorchFunctionMode):
    """Every call inside the context gets the parameters detached; the model itself is not touched.

    No gradient of a weight is computed or asked of autograd, and what still requires one depends on the images.

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
        return func(*(_constant(arg) for arg in args), **{name: _constant(value) for name, value in kwargs.items()})


def _constant(value: Any) -> Any:
    """The value with its parameters detached."""
    if isinstance(value, nn.Parameter):
        with torch._C.DisableTorchFunction():
            return value.detach()
    if type(value) in (list, tuple):
        return type(value)(_constant(part) for part in value)
    return value
