"""The first question to a model: does it answer logits, one per class, for the images of its audit file?"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.core.wording import one_line
from cnnaudit.target import InputSpec, Split
from cnnaudit.target.answers import ends_in, other_kind
from cnnaudit.target.model_sources import ModelSource, plain
from cnnaudit.target.pixels import PixelModel
from cnnaudit.target.rows import ONE_LABEL


def probe(
    model: PixelModel,
    images: torch.Tensor,
    source: ModelSource,
    spec: InputSpec,
    classes: Sequence[str],
    by_graph: bool = False,
) -> None:
    """Show the model two images and hold its answer against the audit file.

    Args:
        by_graph: rows in [0, 1] that sum to 1 are probabilities only where the graph of the answer ends in a softmax,
            since a rule of one's own may answer so; else they always are.

    Raises:
        ModelError: the model raises, does not answer a tensor of shape (2, M), answers NaN or infinity, has another
            number of classes than the file, or answers probabilities where the file says logits or the reverse.
    """
    answer = _asked(model, images, spec)
    if not isinstance(answer, torch.Tensor):
        if kind := other_kind(answer):
            raise ModelError(f"the model is {kind}")
        raise ModelError(
            f"the model answers a {_described(answer)}, expected one tensor of logits, a dict or object with "
            "'logits', or "
            "a tuple that starts with them. Give model.source = 'module:callable' that builds a module returning the "
            "logits only"
        )
    if answer.ndim == 1 and len(answer) == len(images) and source.outputs in ("binary", "sigmoid"):
        answer = answer[:, None]
    if answer.ndim != 2 or len(answer) != len(images):
        kind = f". This is {kind}" if (kind := other_kind(answer)) else ""
        raise ModelError(f"the model answers shape {tuple(answer.shape)} to two images, expected (2, classes){kind}")
    check_width(answer.shape[1], source, classes)
    if not answer.isfinite().all():
        raise ModelError(
            "the model answers NaN or infinity to images in [0, 1]; look at model.weights, input.mean and input.std"
        )
    check_outputs(answer, source.outputs, len(classes), by_graph)


def _asked(model: PixelModel, images: torch.Tensor, spec: InputSpec) -> Any:
    """The model's answer, with its graph where it has one."""
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            return model.answer(images.clone().requires_grad_())
    except Exception as error:
        if second := second_input(model.network, error):
            raise ModelError(second) from error
        raise ModelError(
            f"the model rejects images of input.size = {list(spec.size)} with input.channels = {spec.channels}: "
            f"{one_line(error)}"
        ) from error


def ready(name: str, module: Any, images: torch.Tensor, classes: Sequence[str], device: str) -> torch.nn.Module:
    """A module in evaluation mode whose answer to two images is logits of the classes, or that was made so.

    Wrappers of `torch.compile` and data parallelism are taken off; answers of more than logits are cut down to them.

    Raises:
        ModelError: it does not answer so.
    """
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"{name}: expected a torch.nn.Module, got {type(module).__name__}")
    network = plain(module).eval()
    if isinstance(network, PixelModel):
        return network
    spec = InputSpec(channels=images.shape[1], size=(images.shape[2], images.shape[3]))
    model, shown = PixelModel(network, spec), images.to(device)
    try:
        probe(model, shown, ModelSource(name, ""), spec, classes, by_graph=True)
    except ModelError as error:
        raise type(error)(f"{name}: {error}") from error
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            answers_logits = isinstance(network(shown.clone()), torch.Tensor)
    except Exception:  # such as a network in half precision, to whose type the wrapper brings the images
        return model
    return network if answers_logits else model


def second_input(network: Any, error: Exception) -> str:
    """How to wrap a model that wants more than images; empty where that is not why it raised."""
    try:
        given = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):
        return ""
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in given if p.default is p.empty and p.kind in (*plain, inspect.Parameter.KEYWORD_ONLY)]
    if len(needed) < 2 or not isinstance(error, TypeError):
        return ""
    more = ", ".join(f"{name}=..." for name in needed[1:])
    return (
        f"the model wants {', '.join(needed)}, an audit shows it images only. Fix the others to what they are in "
        "use, in a "
        "wrapper that model.source = 'module:ImagesOnly' names:\n"
        "    class ImagesOnly(torch.nn.Module):\n"
        "        def __init__(self):\n"
        f"            super().__init__(); self.network = {type(network).__name__}()\n"
        f"        def forward(self, images): return self.network(images, {more})"
    )


def two_images(spec: InputSpec, splits: Mapping[str, Split]) -> torch.Tensor:
    """The first and the last image of the validation split, else of the training split.

    Noise where neither can be read, which the checks then report.
    """
    for name in ("validation", "train"):
        if name in splits and len(splits[name].labels):
            try:
                return splits[name].read(np.array([0, len(splits[name].labels) - 1]))
            except DataError:
                continue
    return torch.rand(2, spec.channels, *spec.size, generator=torch.Generator().manual_seed(0))


def check_width(width: int, source: ModelSource, classes: Sequence[str]) -> None:
    """Hold the number of outputs against the classes.

    Raises:
        ModelError: they do not fit.
    """
    indices = source.class_indices
    if indices is not None:
        if max(indices) >= width:
            raise ModelError(f"data.class_indices goes up to {max(indices)}, but the model answers 0..{width - 1}")
        return
    wanted = 1 if source.outputs == "binary" or (source.outputs == "sigmoid" and width == 1) else len(classes)
    if width == wanted and (width > 1 or len(classes) == 2):
        return
    if width == 1:
        raise ModelError(
            f"the model answers one number, data.classes names {len(classes)}. A single output is about two "
            "classes, the "
            "second the one that it speaks for: name two, and set model.outputs = 'binary' where it is a logit, "
            "'sigmoid' where it is a probability"
        )
    if source.outputs == "binary":
        raise ModelError(f"model.outputs = 'binary', but the model answers {width} numbers. {ONE_LABEL}")
    raise ModelError(
        f"the model answers {width} classes, data.classes names {len(classes)}. Name all {width} in the order of "
        "the logits, or say in data.class_indices which logit belongs to each class"
    )


def check_outputs(answer: torch.Tensor, declared: str, classes: int, by_graph: bool = False) -> None:
    """Hold the answer against what the file says that it is.

    Raises:
        ModelError: the file says logits and the model ends in a softmax or a sigmoid, or the reverse.
    """
    sigmoid, softmax = ends_in(answer, "Sigmoid"), ends_in(answer, "Softmax")
    answer = answer.detach()
    low, high = float(answer.min()), float(answer.max())
    sums = answer.sum(1)
    inside = low >= 0 and high <= 1
    distributions = inside and answer.shape[1] > 1 and bool(torch.isclose(sums, torch.ones_like(sums), atol=1e-3).all())
    if distributions and declared == "logits" and (softmax or not by_graph):
        raise ModelError(
            "the model answers probabilities (rows in [0, 1] that sum to 1), but model.outputs says logits; "
            "set model.outputs = 'probabilities', or better return the logits before the softmax"
        )
    if sigmoid and inside and declared in ("logits", "binary"):
        labels = f" Where an image can have several of the {classes} labels: {ONE_LABEL}" if answer.shape[1] > 1 else ""
        raise ModelError(
            f"the model ends in a sigmoid (its answers are in {low:.3g}..{high:.3g}), but model.outputs says "
            f"{declared}; "
            f"set model.outputs = 'sigmoid', or better return what comes before it.{labels}"
        )
    if not distributions and declared == "probabilities":
        raise ModelError(
            f"model.outputs = 'probabilities', but the model's rows are in {low:.3g}..{high:.3g} and sum to "
            f"{float(sums[0]):.3g}; set model.outputs = 'logits'"
        )
    if declared == "sigmoid" and not inside:
        raise ModelError(
            f"model.outputs = 'sigmoid', but the model answers {low:.3g}..{high:.3g}; set model.outputs = 'binary' "
            "for one "
            "logit, 'logits' for several"
        )


def _described(answer: Any) -> str:
    size = f" of {len(answer)}" if isinstance(answer, (tuple, list, dict)) else ""
    return type(answer).__name__ + size
