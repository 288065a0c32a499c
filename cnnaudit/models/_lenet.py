"""LeNet as the literature on small handwritten digits builds it today: 3x3 filters and max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def lenet(
    filters: Sequence[int] = (32, 32),
    hidden: int = 128,
    classes: int = 10,
    size: int = 28,
    channels: int = 1,
    kernel: int = 3,
    activation: str = "relu",
    pooling: str = "max",
) -> nn.Sequential:
    """Per entry of `filters` a convolution without padding, ReLU and 2x2 max pooling; then dense, ReLU, dense.

    With the defaults: conv 32 (3x3), pool, conv 32 (3x3), pool, dense 128, dense 10; 113,386 parameters.

    Args:
        filters: filters of each convolution; `(8, 16)` with `hidden=32` is a small variant of 14,410 parameters.
        hidden: neurons of the hidden layer.
        classes: number of classes.
        size: side of the (square) images.
        channels: channels of the images.
        kernel: side of each filter.
        activation: in place of ReLU: `tanh`, `sigmoid`, `elu` or `heaviside` (see `cnnaudit.models.activations`).
        pooling: in place of the maximum: `average` or `l2`.

    Returns:
        A module with layers `conv1`, `relu1`, `pool1`, `conv2` …, `flatten`, `hidden`, `hidden_relu`, `output`;
        logits (N, classes).

    Raises:
        ModelError: the images are too small for that many convolutions; there is no such activation or pooling.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017.

    Example:
        >>> sum(p.numel() for p in lenet().parameters())
        113386
    """
    from torch import nn

    from cnnaudit.models.activations import activation_named, pooling_named

    model = nn.Sequential()
    side, before = size, channels
    for number, after in enumerate(filters, start=1):
        side = (side - kernel + 1) // 2
        if side < 1:
            raise ModelError(f"lenet: images of {size} pixels are too small for {len(filters)} convolutions")
        model.add_module(f"conv{number}", nn.Conv2d(before, after, kernel))
        model.add_module(f"relu{number}", activation_named(activation))
        model.add_module(f"pool{number}", pooling_named(pooling))
        before = after
    model.add_module("flatten", nn.Flatten())
    model.add_module("hidden", nn.Linear(before * side**2, hidden))
    model.add_module("hidden_relu", activation_named(activation))
    model.add_module("output", nn.Linear(hidden, classes))
    return model
