"""Weight files: read without running code, and put into a network that they must fit."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import listed, nearest, one_line

if TYPE_CHECKING:
    import torch
    from torch import nn

NESTED = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")
SAFE = (
    "convert it where it was trained, `safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`, "
    "and set model.weights to that file"
)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weight file by name, on the CPU.

    A `.pt` or `.pth` file is read with `weights_only=True`, which runs no code. A checkpoint that holds its
    weights under `state_dict`, `model_state_dict` or `model` is opened there, and the prefixes that data
    parallelism (`module.`) and compilation (`_orig_mod.`) put before every name are taken off.

    Raises:
        ModelError: the file is damaged, needs more than tensors to be read, or holds no state dict.
    """
    state = _safetensors(path) if path.suffix == ".safetensors" else _weights_only(path)
    while isinstance(state, Mapping) and (inner := next((key for key in NESTED if key in state), None)):
        state = state[inner]
    if not isinstance(state, Mapping) or not state or not all(isinstance(key, str) for key in state):
        raise ModelError(f"model.weights: {path} holds a {type(state).__name__}, expected a state dict; {SAFE}")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a file into a network, all of them and nothing else.

    Raises:
        ModelError: the file cannot be read, or its names or shapes are not those of the network.
    """
    state, own = read_weights(path), network.state_dict()
    shapes = [
        f"{name!r} {tuple(value.shape)}, the network has {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and getattr(value, "shape", None) != own[name].shape and hasattr(value, "shape")
    ]
    if shapes:
        more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
        raise ModelError(
            f"model.weights: {path.name} does not fit the network: {'; '.join(shapes[:3])}{more}. "
            "Set model.arguments to those that the network was trained with"
        )
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(f"model.weights: {path.name} does not fit the network: {one_line(error)}") from error
    if missing or unexpected:
        parts = [f"it lacks {listed(missing)} of the network's {len(own)} entries"] if missing else []
        if unexpected:
            parts.append(f"the network has no {listed(unexpected)}{nearest(unexpected[0], missing or own)}")
        raise ModelError(f"model.weights: {path.name} is of another architecture than model.source: {'; '.join(parts)}")


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"model.weights: {path} is not a safetensors file: {one_line(error)}") from error


def _weights_only(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of TorchScript and of pickle protocols, we say below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", str(error))
        what = f"wants {wanted[1]}" if wanted else "needs more than tensors"
        raise ModelError(
            f"model.weights: {path} is a pickle that {what}, and reading that could run code. Nothing was run; {SAFE}"
        ) from None
    except Exception as error:
        if "TorchScript" in str(error):
            raise ModelError(f"model.weights: {path} is a TorchScript model; name it as model.source") from None
        raise ModelError(f"model.weights: {path} is no file of torch.save, or damaged: {one_line(error)}") from error
