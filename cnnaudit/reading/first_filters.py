"""The filters that a network lays over the image itself, and what they answer to an empty one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.activation import feature_maps
from cnnaudit.activation.layers import first_response
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import Call
from cnnaudit.interventions.batches import fill_batch
from cnnaudit.interventions.inputs import weights_of
from cnnaudit.reading.filters import Decomposition, Direction, decompose, direction_of_change

MOST = 8


@dataclass(frozen=True, eq=False)
class FirstFilter:
    """One filter of the first convolution.

    Attributes:
        kernel: its weights, (h, w); of a color image the sum over the channels, which is how it sees gray.
        direction: None where the weights are all 0.
        decomposition: None where there are no classic filters of its size.
        blank: its map (H, W) for an all-white and an all-black image, after the activation function.
    """

    number: int
    kernel: np.ndarray
    bias: float
    direction: Direction | None
    decomposition: Decomposition | None
    blank: tuple[np.ndarray, np.ndarray]


def first_filters(
    model: nn.Module, shape: Sequence[int], observed: Sequence[Call], device: str = "cpu", most: int = MOST
) -> tuple[str, list[FirstFilter]]:
    """The name of the first convolution, and its filters (the first eight of many).

    Args:
        shape: channels, height and width of an image.
        observed: the calls of one image.

    Raises:
        UnsupportedError: the model has no two-dimensional convolution.
    """
    layer = next((call.name for call in observed if call.kind == "conv2d"), None)
    if layer is None:
        raise UnsupportedError("the model has no convolution, so it has no filters")
    blanks = torch.stack([torch.ones(tuple(shape)), torch.zeros(tuple(shape))]).to(device)
    with torch.no_grad():
        weight, bias = weights_of(model, fill_batch(blanks, getattr(model, "batch", None)), layer)
        response = first_response(model, blanks)
        answers = feature_maps(model, blanks, [response])[response].double().cpu().numpy()
    kernels = weight.sum(1).double().cpu().numpy()
    biases = np.zeros(len(kernels)) if bias is None else bias.double().cpu().numpy()
    found = []
    for number, kernel in enumerate(kernels[:most]):
        direction = direction_of_change(kernel) if kernel.any() else None
        square = kernel.any() and kernel.shape[0] == kernel.shape[1] >= 2
        blank = (answers[0, number], answers[1, number])
        parts = decompose(kernel) if square else None
        found.append(FirstFilter(number, kernel, float(biases[number]), direction, parts, blank))
    return layer, found
