"""What must be as it was after somebody's code has run: a model, a tensor, the process."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Facts = Mapping[str, Any]

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def of_model(model: nn.Module) -> Facts:
    """Modes, hooks and attributes of the modules; numbers, gradients and identity of parameters and buffers."""
    facts: dict[str, Any] = {}
    for path, module in model.named_modules():
        where = path or "the model"
        facts[f"mode of {where}"] = module.training
        facts[f"attributes of {where}"] = sorted(vars(module))
        for kind in _HOOKS:
            facts[f"{kind} of {where}"] = list(getattr(module, kind))
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        facts |= {f"{fact} of {name}": content for fact, content in of_tensor(value).items()}
    return facts


def of_tensor(tensor: torch.Tensor) -> Facts:
    """Identity, numbers, strides, gradient."""
    gradient = tensor.grad if tensor.is_leaf else None
    return {
        "identity": id(tensor),
        "numbers": tensor.detach().clone(),
        "strides": tensor.stride(),
        "requires_grad": tensor.requires_grad,
        "grad": None if gradient is None else gradient.clone(),
        "identity of grad": id(gradient),
    }


def of_process() -> Facts:
    """Global random states, modes and settings of torch, warnings filters, the working folder."""
    return {
        "torch's random state": torch.get_rng_state(),
        "NumPy's random state": tuple(np.random.get_state())[1:3],
        "Python's random state": random.getstate(),
        "gradients enabled": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch function modes": torch._C._len_torch_function_stack(),
        "torch dispatch modes": torch._C._len_torch_dispatch_stack(),
        "hooks of all modules": [len(hooks) for hooks in _global_hooks()],
        "warnings filters": list(warnings.filters),
        "working folder": os.getcwd(),
    }


def changed(before: Facts, after: Facts) -> list[str]:
    """The facts that differ."""
    return sorted(name for name in {*before, *after} if not _same(before.get(name), after.get(name)))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a, b))
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _global_hooks() -> list[Mapping[int, Any]]:
    module = torch.nn.modules.module
    return [module._global_forward_hooks, module._global_forward_pre_hooks, module._global_backward_hooks]
