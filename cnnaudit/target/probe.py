"""The first question to a model: does it answer logits, one per class, for the images of its audit file?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.core.wording import one_line
from cnnaudit.target import InputSpec, Split
from cnnaudit.target.model_sources import ModelSource
from cnnaudit.target.pixels import PixelModel


def probe(
    model: PixelModel, images: torch.Tensor, source: ModelSource, spec: InputSpec, classes: Sequence[str]
) -> None:
    """Show the model two images and hold its answer against the audit file.

    Raises:
        ModelError: the model raises, does not answer a tensor of shape (2, M), answers NaN or infinity, has another
            number of classes than the file, or answers probabilities where the file says logits or the reverse.
    """
    try:
        with torch.no_grad():
            answer = model.answer(images)
    except Exception as error:
        raise ModelError(
            f"the model rejects images of input.size = {list(spec.size)} with input.channels = {spec.channels}: "
            f"{one_line(error)}"
        ) from error
    if not isinstance(answer, torch.Tensor):
        raise ModelError(
            f"the model answers a {_described(answer)}, expected one tensor of logits. Give model.source = "
            "'module:callable' that builds a module returning the logits only (for torchvision's googlenet and "
            "inception_v3 set model.arguments = { aux_logits = false })"
        )
    if answer.ndim != 2 or len(answer) != len(images):
        raise ModelError(f"the model answers shape {tuple(answer.shape)} to two images, expected (2, classes)")
    _check_classes(answer.shape[1], source, classes)
    if not answer.isfinite().all():
        raise ModelError(
            "the model answers NaN or infinity to images in [0, 1]; look at model.weights, input.mean and input.std"
        )
    _check_outputs(answer, source.outputs)


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


def _check_classes(width: int, source: ModelSource, classes: Sequence[str]) -> None:
    indices = source.class_indices
    if indices is not None and max(indices) >= width:
        raise ModelError(f"data.class_indices goes up to {max(indices)}, but the model answers 0..{width - 1}")
    if indices is None and width != len(classes):
        one = " A single output is no logit per class: return (0, output) for two classes." if width == 1 else ""
        raise ModelError(
            f"the model answers {width} classes, data.classes names {len(classes)}. Name all {width} in the order of "
            f"the logits, or say in data.class_indices which logit belongs to each class.{one}"
        )


def _check_outputs(answer: torch.Tensor, declared: str) -> None:
    sums = answer.sum(1)
    distributions = bool((answer >= 0).all() and torch.isclose(sums, torch.ones_like(sums), atol=1e-3).all())
    if distributions and declared == "logits":
        raise ModelError(
            "the model answers probabilities (rows in [0, 1] that sum to 1), but model.outputs says logits; "
            "set model.outputs = 'probabilities', or better return the logits before the softmax"
        )
    if not distributions and declared == "probabilities":
        low, high = float(answer.min()), float(answer.max())
        raise ModelError(
            f"model.outputs = 'probabilities', but the model's rows are in {low:.3g}..{high:.3g} and sum to "
            f"{float(sums[0]):.3g}; set model.outputs = 'logits'"
        )


def _described(answer: Any) -> str:
    size = f" of {len(answer)}" if isinstance(answer, (tuple, list, dict)) else ""
    return type(answer).__name__ + size
