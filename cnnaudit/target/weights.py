"""Weight files: read without running code, and put into a network that they must fit."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import listed, one_line
from cnnaudit.target.fitting import fit, plain_names
from cnnaudit.target.pickled import check_lengths
from cnnaudit.target.trust import UntrustedError, read_archive, write_archive

if TYPE_CHECKING:
    import torch
    from torch import nn

MODELS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "weights", "state")
AVERAGES = ("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "ema_state", "params_ema", "shadow")
DEEPEST = 8  # checkpoints in checkpoints
SAFE = (
    "convert it where it was trained, `safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`, "
    "and set model.weights to that file"
)


class WeightsWarning(UserWarning):
    """Which of several possible weights of a file were taken."""


def read_weights(path: Path, key: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a weight file by name, on the CPU.

    A `.pt`, `.pth` or `.ckpt` file is read with `weights_only=True`, which runs no code, after its tensors were held
    against the lengths in the file. A checkpoint that holds its weights under `state_dict`, `model`, `net`, `ema` or
    the like is opened there, and the prefixes that data parallelism (`module.`) and compilation (`_orig_mod.`) put
    before every name are taken off.

    Args:
        key: under which the checkpoint holds the weights, `model.weights_key`; None: the only one that there is.

    Raises:
        ModelError: the file is damaged, needs more than tensors to be read, holds no state dict, or several of them.
    """
    return plain_names(_state(path, key))


def load_weights(network: nn.Module, path: Path, key: str | None = None) -> None:
    """Put the weights of a file into a network, all of them and nothing else.

    Names fit with or without the prefixes of wrappers; an entry that the network shares with another one needs to be
    in the file once; what profilers leave behind is left out.

    Raises:
        ModelError: the file cannot be read, or its names or shapes are not those of the network.
    """
    left = fit(network, _state(path, key), path.name)
    if left:
        _tell(f"model.weights: {path.name} also holds {listed(left)}, which the network does not have; left out")


def _state(path: Path, key: str | None) -> dict[str, Any]:
    """The mapping of names to tensors in a file, under whatever names it has there."""
    state = _safetensors(path) if path.suffix.lower() == ".safetensors" else _weights_only(path)
    if key is not None:
        if not isinstance(state, Mapping) or key not in state:
            held = listed([str(name) for name in state], 8) if isinstance(state, Mapping) else type(state).__name__
            raise ModelError(f"model.weights_key = {key!r}: {path} has no such key, it holds {held}")
        state = state[key]
    taken = [] if key is None else [key]
    for _ in range(DEEPEST):
        inner = _choice(state, path)
        if inner is None:
            break
        state, taken = state[inner], [*taken, inner]
    else:
        raise ModelError(f"model.weights: {path} holds itself, or is nested over {DEEPEST} deep; {SAFE}")
    if not isinstance(state, Mapping) or not state or not all(isinstance(name, str) for name in state):
        raise ModelError(f"model.weights: {path} holds a {type(state).__name__}, expected a state dict; {SAFE}")
    if key is None and taken and taken != ["state_dict"] and taken != ["model_state_dict"]:
        _tell(f"model.weights: the weights are those that {path.name} holds as {'.'.join(taken)!r}")
    return dict(state)


def _choice(state: Any, path: Path) -> str | None:
    """The key under which a checkpoint holds its weights; None where it is a state dict itself."""
    if not isinstance(state, Mapping):
        return None
    found = [name for name in (*MODELS, *AVERAGES) if isinstance(state.get(name), Mapping) and state[name]]
    if len(found) > 1:
        raise ModelError(
            f"model.weights: {path} holds several states, {listed(found, 9)}; "
            f"say which to audit, such as model.weights_key = {found[0]!r}"
        )
    if not found and not any(hasattr(value, "shape") for value in state.values()):
        other = [str(name) for name, value in state.items() if isinstance(value, Mapping) and value]
        if other:
            raise ModelError(
                f"model.weights: {path} is a checkpoint without tensors of its own; name the weights among its keys "
                f"{listed(other, 9)}, such as model.weights_key = {other[0]!r}"
            )
    return found[0] if found else None


def _tell(text: str) -> None:
    warnings.warn(text, WeightsWarning, stacklevel=3)


def _safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # of Rust, of the header's JSON, of a dtype that torch lacks
        raise ModelError(f"model.weights: {path} is not a safetensors file: {one_line(error)}") from error


def _weights_only(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of TorchScript and of pickle protocols, we say below
            return torch.load(_measured(path), map_location="cpu", weights_only=True)
    except UntrustedError as error:
        raise ModelError(f"model.weights: {path} is no file of torch.save, or damaged: {error}") from error
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", str(error))
        what = f"wants {wanted[1]}" if wanted else "needs more than tensors"
        raise ModelError(
            f"model.weights: {path} is a pickle that {what}, and reading that could run code. Nothing was run; {SAFE}"
        ) from None
    except Exception as error:
        raise ModelError(f"model.weights: {path} is no file of torch.save, or damaged: {one_line(error)}") from error


def _measured(path: Path) -> Path | io.BytesIO:
    """The file, an archive written anew from members of the right lengths; the format before it torch measures."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head[257:262] == b"ustar":
        raise UntrustedError("it is a tar archive, the format of torch before 0.2; save it again with torch.save")
    if not zipfile.is_zipfile(path) and not head.startswith(b"PK"):
        return path
    members = read_archive(path)
    if "constants.pkl" in members:
        raise ModelError(f"model.weights: {path} is a TorchScript model; name it as model.source")
    check_lengths(members, "data.pkl", "data")
    return write_archive(members)
