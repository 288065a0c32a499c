"""Small networks as practice builds them: a VGG, a residual network and one of depthwise convolutions.

They train in seconds on a CPU and stand for the clean classifiers that the checks must not accuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "leaky_relu", "silu"]


def small_vgg(
    classes: int = 10,
    size: int = 28,
    channels: int = 1,
    filters: Sequence[int] = (8, 16, 32),
    hidden: int | None = 48,
    activation: Activation = "relu",
) -> nn.Sequential:
    """Per entry of `filters` a 3x3 convolution with padding, the activation and 2x2 max pooling; then a dense head.

    Args:
        classes: number of classes.
        size: side of the (square) images.
        channels: channels of the images.
        filters: filters of each convolution.
        hidden: neurons of the hidden layer; None: global average pooling and a linear layer instead.
        activation: `relu`, `leaky_relu` (slope .1 below zero) or `silu`.

    Returns:
        A module with layers `conv1`, `act1`, `pool1`, `conv2` …, then `flatten`, `hidden`, `hidden_act` (or `average`,
        `flatten`) and `output`; logits (N, classes).

    Raises:
        ModelError: the activation is unknown, or the images are too small to be pooled that often.

    Source: K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition, 2015.

    Example:
        >>> sum(p.numel() for p in small_vgg().parameters())
        20250
    """
    from torch import nn

    if activation not in ("relu", "leaky_relu", "silu"):
        raise ModelError(f"small_vgg: activation must be relu, leaky_relu or silu, got {activation!r}")
    side = size >> len(filters)
    if side < 1:
        raise ModelError(f"small_vgg: images of {size} pixels are too small to be pooled {len(filters)} times")
    activations: dict[str, Callable[[], nn.Module]] = {
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.1),
        "silu": nn.SiLU,
    }
    made = activations[activation]
    model, before = nn.Sequential(), channels
    for number, after in enumerate(filters, start=1):
        model.add_module(f"conv{number}", nn.Conv2d(before, after, 3, padding=1))
        model.add_module(f"act{number}", made())
        model.add_module(f"pool{number}", nn.MaxPool2d(2))
        before = after
    if hidden is None:
        model.add_module("average", nn.AdaptiveAvgPool2d(1))
        model.add_module("flatten", nn.Flatten())
        model.add_module("output", nn.Linear(before, classes))
        return model
    model.add_module("flatten", nn.Flatten())
    model.add_module("hidden", nn.Linear(before * side**2, hidden))
    model.add_module("hidden_act", made())
    model.add_module("output", nn.Linear(hidden, classes))
    return model


def small_resnet(classes: int = 10, channels: int = 1, filters: Sequence[int] = (12, 12, 24)) -> nn.Sequential:
    """A strided 3x3 convolution with batch normalization, residual blocks, global average pooling and a linear layer.

    Args:
        classes: number of classes.
        channels: channels of the images.
        filters: of the first convolution, then of each block. The first convolution and every block but the first
            halve the side.

    Returns:
        A module with layers `conv1`, `norm1`, `relu1`, `block1` …, `average`, `flatten` and `output`; logits
        (N, classes) for images of any size.

    Source: K. He et al., Deep residual learning for image recognition, 2016.

    Example:
        >>> sum(p.numel() for p in small_resnet().parameters())
        11230
    """
    from torch import nn

    from cnnaudit.models.blocks import Residual

    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(channels, filters[0], 3, stride=2, padding=1, bias=False))
    model.add_module("norm1", nn.BatchNorm2d(filters[0]))
    model.add_module("relu1", nn.ReLU())
    for number, (before, after) in enumerate(pairwise(filters), start=1):
        model.add_module(f"block{number}", Residual(before, after, stride=min(number, 2)))
    return _averaged(model, filters[-1], classes)


def small_mobilenet(classes: int = 10, channels: int = 1, filters: Sequence[int] = (16, 32, 64)) -> nn.Sequential:
    """A strided 3x3 convolution, depthwise separable convolutions, global average pooling and a linear layer.

    Args:
        classes: number of classes.
        channels: channels of the images.
        filters: of the first convolution, then of each depthwise separable one. The first convolution and every
            separable one but the first halve the side.

    Returns:
        A module with layers `conv1`, `norm1`, `relu1`, `separable1` …, `average`, `flatten` and `output`; logits
        (N, classes) for images of any size.

    Source: A. Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, 2017.

    Example:
        >>> sum(p.numel() for p in small_mobilenet().parameters())
        4106
    """
    from torch import nn

    from cnnaudit.models.blocks import separable

    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(channels, filters[0], 3, stride=2, padding=1, bias=False))
    model.add_module("norm1", nn.BatchNorm2d(filters[0]))
    model.add_module("relu1", nn.ReLU6())
    for number, (before, after) in enumerate(pairwise(filters), start=1):
        model.add_module(f"separable{number}", separable(before, after, stride=min(number, 2)))
    return _averaged(model, filters[-1], classes)


def _averaged(model: nn.Sequential, filters: int, classes: int) -> nn.Sequential:
    """The model with global average pooling and a linear layer at its end."""
    from torch import nn

    model.add_module("average", nn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", nn.Flatten())
    model.add_module("output", nn.Linear(filters, classes))
    return model
