"""A model in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode while the context lasts: batch statistics are not updated and dropout drops nothing.

    Every module has its own mode back afterwards, also after an exception. The flags are set directly, since modules of
    `torch.export` refuse `eval()`; theirs is built in.

    Example:
        >>> net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1).eval())
        >>> with evaluating(net):
        ...     [module.training for module in net]
        [False, False]
        >>> [module.training for module in net]
        [True, False]
    """
    wrapped = [part for part in vars(model).values() if isinstance(part, nn.Module)]  # shown as the model's own
    before = {module: module.training for root in (model, *wrapped) for module in root.modules()}
    try:
        for module in before:
            module.training = False
        yield
    finally:
        for module, mode in before.items():
            module.training = mode
