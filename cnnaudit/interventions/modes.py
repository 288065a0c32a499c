"""A user's model, borrowed: in evaluation mode, on images of its own, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module, own_images: bool = True) -> Iterator[None]:
    """Evaluation mode while the context lasts: batch statistics are not updated and dropout drops nothing.

    Every module has its own mode back afterwards, also after an exception. The flags are set directly, since modules of
    `torch.export` refuse `eval()`; theirs is built in. The model is given a copy of its images, since it may write into
    them. Inference mode ends here: a tensor that the model makes in it and keeps could not be differentiated later.

    Args:
        own_images: copy the images; False for a pass that must be given the very tensor.

    Example:
        >>> net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1).eval(), nn.ReLU(inplace=True))
        >>> images = torch.full((1, 1, 2, 2), -1.0)
        >>> with evaluating(net):
        ...     answer, modes = net(images), [module.training for module in net]
        >>> modes, [module.training for module in net], bool((images == -1).all())
        ([False, False, False], [True, False, True], True)
    """
    if _borrowed(model):
        with _outside_inference():
            yield
        return
    wrapped = [part for part in vars(model).values() if isinstance(part, nn.Module)]  # shown as the model's own
    before = {module: module.training for root in (model, *wrapped) for module in root.modules()}
    hook = _OwnImages(id(model), own_images)  # by the class, since script modules refuse to be given one
    handle = nn.Module.register_forward_pre_hook(model, hook, prepend=True, with_kwargs=True)
    try:
        for module in before:
            module.training = False
        with _outside_inference():
            yield
    finally:
        handle.remove()
        for module, mode in before.items():
            module.training = mode


@contextmanager
def _outside_inference() -> Iterator[None]:
    """No gradients instead of inference mode; any other mode stays as it is."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


class _OwnImages:
    """A hook that copies what a model is given; copies of the model keep the hook, which then names another model."""

    def __init__(self, model: int, copies: bool) -> None:
        self.model, self._copies = model, copies

    def __call__(self, module: nn.Module, inputs: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if not self._copies:
            return None
        return tuple(map(_copied, inputs)), {name: _copied(value) for name, value in named.items()}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _borrowed(model: nn.Module) -> bool:
    """Whether the model is inside this context already."""
    hooks = model._forward_pre_hooks.values()
    return any(isinstance(hook, _OwnImages) and hook.model == id(model) for hook in hooks)
