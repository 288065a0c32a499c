"""Networks that are trained once and kept on the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.files import write_whole
from cnnaudit.training._fit import fit

if TYPE_CHECKING:
    from torch import nn

CACHE = "CNNAUDIT_CACHE"
_TASTE = 64  # images of the two steps that tell whether training is still what it was


def cache_folder() -> Path:
    """The folder that `CNNAUDIT_CACHE` names, or `cnnaudit` in the user's cache folder."""
    if named := os.environ.get(CACHE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cnnaudit"


def fit_once(
    architecture: Callable[[], nn.Module], data: tuple[np.ndarray, np.ndarray], seed: int, **settings: Any
) -> nn.Module:
    """The network that `fit` trains with these arguments on one thread, read from the disk where it was trained before.

    It is found by the SHA-256 of the images, the labels, the settings, and the weights after two steps of this very
    training: any change of the architecture, of `fit`, of torch or of the processor that would change the result
    changes these, so that what is read is bit for bit what would be trained. A file that cannot be used is replaced.

    Args:
        data: images (N, C, H, W), uint8 or float in [0, 1], and labels (N,).
        settings: of `fit`; plain values.

    Returns:
        The network in `eval()` mode, on the CPU.
    """
    from safetensors.torch import load, save

    with _one_thread():
        path = cache_folder() / "networks" / f"{_key(architecture, data, seed, settings)}.safetensors"
        model = _built(architecture)
        try:
            model.load_state_dict(load(path.read_bytes()))
        except Exception:  # not there, cut short or of another network: in each case it is trained
            trained = _trained(architecture, data, seed, settings)
            content = save({name: value.contiguous() for name, value in trained.state_dict().items()})
            write_whole({path: content})
            model.load_state_dict(load(content))
    return model.eval()


def _key(
    architecture: Callable[[], nn.Module], data: tuple[np.ndarray, np.ndarray], seed: int, settings: dict[str, Any]
) -> str:
    """What the training is known by."""
    digest = hashlib.sha256(repr((seed, sorted(settings.items()))).encode())
    for array in data:
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    taste = _trained(architecture, (data[0][:_TASTE], data[1][:_TASTE]), seed, {**settings, "epochs": 1})
    for name, value in taste.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _trained(
    architecture: Callable[[], nn.Module], data: tuple[np.ndarray, np.ndarray], seed: int, settings: dict[str, Any]
) -> nn.Module:
    """The trained network; channels last, which is the faster layout on a CPU."""
    import torch

    model = _built(architecture).to(memory_format=torch.channels_last)
    fit(model, data, seed=seed, **settings)
    return model


def _built(architecture: Callable[[], nn.Module]) -> nn.Module:
    """The network before training; torch's random state stays as it is."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return architecture()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: small steps are not faster on several, and sums in another order have other digits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
