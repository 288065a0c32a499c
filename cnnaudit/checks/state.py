"""What one check does to the process is not felt by the next."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def process_state() -> Iterator[None]:
    """Put the process back as it was, also where the body raises.

    Restored are torch's default dtype, default device, thread count, gradient mode and random state (CPU and CUDA),
    the random states of NumPy and Python, the warnings filters and the current folder.

    Example:
        >>> import torch
        >>> with process_state():
        ...     torch.set_default_dtype(torch.float64)
        >>> torch.get_default_dtype()
        torch.float32
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        with contextlib.suppress(OSError):  # a folder that is gone cannot be come back to
            stack.callback(_return_to, os.getcwd())
        _restore_torch(stack)
        yield


def _return_to(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _restore_torch(stack: contextlib.ExitStack) -> None:
    """Register what puts torch's settings back."""
    torch = sys.modules.get("torch")
    if torch is None:  # no model, and nothing to restore
        return
    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    stack.callback(_set_default_device, torch.get_default_device())
    stack.callback(_set_threads, torch.get_num_threads())
    stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())


def _set_default_device(device: Any) -> None:
    """Set the default device where it differs: setting one slows every later call that makes a tensor."""
    import torch

    if torch.get_default_device() != device:
        torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _set_threads(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
