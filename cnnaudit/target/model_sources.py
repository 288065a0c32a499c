"""The sources that a model can have, and how each becomes a module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import nearest, one_line
from cnnaudit.target.imports import call, find
from cnnaudit.target.trust import UntrustedError

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import InputSpec
    from cnnaudit.target.pixels import PixelModel

CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
LIBRARIES = ("torchvision:", "timm:", "hf:")
OUTPUTS = ("logits", "probabilities", "binary", "sigmoid")
MODEL_FILES = (".pt2", ".pt", ".pth", ".ts", ".torchscript", ".onnx")
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
HIDDEN = "the model is {kind}, which hides its calls; give its PyTorch source as model.source to ask this"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The `[model]` table of an audit file; a source that is a file is an absolute path.

    Attributes:
        arguments: for the callable, or for torchvision's or timm's constructor.
        weights_key: under which a checkpoint holds the weights to audit; None: the only ones that it holds.
        trusted: whether code in a `.pt2` or TorchScript archive may run.
        outputs: `logits`, `probabilities` (a softmax), `binary` (one logit for two classes) or `sigmoid`
            (probabilities of their own; a single one for two classes).
        class_indices: for each class, the position of its logit in the model's answer; None: all, in order. A single
            one picks the output of a question of two classes.
    """

    name: str
    source: str | Path
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    weights_key: str | None = None
    outputs: str = "logits"
    device: str = "auto"
    batch_size: int = 64
    trusted: bool = False
    class_indices: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in evaluation mode on its device; `inside_reason` says why its calls cannot be observed, if so."""

    model: PixelModel
    device: str
    inside_reason: str = ""


def load(source: ModelSource, spec: InputSpec, folder: Path) -> LoadedModel:
    """The model of a source, taking pixels in [0, 1] and answering logits, in evaluation mode on its device.

    Weights that a constructor draws are drawn from seed 0, and torch's generator is left as it was.

    Args:
        folder: the audit file's, from which modules are imported.

    Raises:
        ModelError: the source cannot be loaded, the weights do not fit it, a file could run code, no such device.
    """
    import torch

    from cnnaudit.target.pixels import PixelModel
    from cnnaudit.target.weights import load_weights

    device = "cpu" if str(source.source).lower().endswith(".onnx") else _device(source.device)
    batch, hidden = None, ""
    if isinstance(source.source, Path):
        network, batch, hidden = _from_file(source.source, source.trusted, device)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a network without weights is the same in every run
            network = _from_code(source.source, source.arguments, folder)
        if source.weights:
            load_weights(network, source.weights, source.weights_key)
    model = PixelModel(network, spec, source.class_indices, source.outputs, batch)
    try:
        return LoadedModel(model.eval().to(device), device, hidden)
    except RuntimeError as error:
        raise ModelError(f"model.device = {source.device!r}: {one_line(error)}") from error


def _from_code(source: str, arguments: Mapping[str, Any], folder: Path) -> nn.Module:
    """The module that a callable, torchvision or timm builds."""
    from torch import nn

    library, _, name = source.partition(":")
    if library == "hf":
        from cnnaudit.target.transformers_models import load_saved

        network = load_saved(Path(name))
    elif f"{library}:" in LIBRARIES:
        network = _from_library(library, name, arguments)
    elif isinstance(found := find(source, folder, "model.source", ModelError), nn.Module):
        network = found
    else:
        network = call(source, arguments, folder, "model.source", ModelError)
    if not isinstance(network, nn.Module):
        raise ModelError(f"model.source: {source} returned a {type(network).__name__}, expected a torch.nn.Module")
    return plain(network)


def plain(network: nn.Module) -> nn.Module:
    """The network without the wrappers of data parallelism, compilation and tracing, which hide its calls and names."""
    from torch import nn

    names = ("module",) if isinstance(network, nn.DataParallel) else ("_orig_mod", "_actual_script_module")
    inner = next((getattr(network, name) for name in names if hasattr(network, name)), network)
    return plain(inner) if isinstance(inner, nn.Module) and inner is not network else network


def _from_library(library: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """A network of torchvision or timm with random weights, unless its arguments name some."""
    if library == "torchvision":
        from torchvision.models import get_model as build
        from torchvision.models import list_models
    else:
        try:
            from timm import create_model as build
            from timm import list_models
        except ModuleNotFoundError:
            raise ModelError(f"model.source = 'timm:{name}' needs timm: pip install cnnaudit[timm]") from None
    known = list_models()
    if name.partition(".")[0] not in known:
        raise ModelError(f"model.source = '{library}:{name}': {library} has no such model{nearest(name, known)}")
    try:
        return build(name, **arguments)
    except Exception as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ModelError(f"model.source: {library}'s {name}({given}) raised {one_line(error)}") from error


def _from_file(path: Path, trusted: bool, device: str) -> tuple[nn.Module, int | None, str]:
    """The module of a file, the only batch size that it takes, and why its calls cannot be observed."""
    from torch import nn

    try:
        if path.suffix.lower() == ".onnx":
            from cnnaudit.target.onnx import OnnxModel

            model = OnnxModel(path)
            return nn.Sequential(model), model.batch, HIDDEN.format(kind="ONNX")
        if path.suffix.lower() == ".pt2":
            from cnnaudit.target.exported import load_exported

            return *load_exported(path, trusted, device), ""
        from cnnaudit.target.torchscript import load_torchscript

        return nn.Sequential(load_torchscript(path, trusted, device)), None, HIDDEN.format(kind="TorchScript")
    except UntrustedError as error:
        raise ModelError(
            f"model.source: {path} is refused: {error}. Nothing in it was run. Give the network as "
            "'module:callable' with its weights as safetensors (model.weights); if you know where the file is from, "
            "set model.trusted = true"
        ) from error
    except ModelError as error:
        raise ModelError(f"model.source: {path}: {error}") from error


def _device(wanted: str) -> str:
    """The device; `auto` is a CUDA GPU where there is one, else the CPU."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind, _, number = wanted.partition(":")
    if not available[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise ModelError(f"model.device = {wanted!r}: torch finds no such device here; use 'auto' or 'cpu'")
    return wanted
