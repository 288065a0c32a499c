"""VGG16 as published, and the small VGG4 for images of 32 x 32 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def vgg16(classes: int = 1000) -> nn.Module:
    """torchvision's VGG16 without batch normalization: 13 convolutions of 3x3, three linear layers.

    138,357,544 parameters with 1000 classes. Layers are named `features.0` … `classifier.6`; logits (N, classes) for
    (N, 3, 224, 224).

    Source: K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition, 2015.

    Example:
        >>> import torch
        >>> with torch.device("meta"):  # no memory for the weights
        ...     sum(p.numel() for p in vgg16().parameters())
        138357544
    """
    from torchvision.models import vgg16 as build

    model: nn.Module = build(weights=None, num_classes=classes)
    return model


def vgg4(classes: int = 10) -> nn.Sequential:
    """Four 3x3 convolutions of 64, 64, 128 and 128 filters, pooled after each two; dense 100, dropout .5, dense.

    1,080,470 parameters with 10 classes. Layers are named `conv1`, `relu1`, `conv2`, `relu2`, `pool1` …, `flatten`,
    `hidden`, `hidden_relu`, `dropout`, `output`; logits (N, classes) for (N, 3, 32, 32). The source gives the order of
    the layers and the count, from which the widths follow; it does not give the rate of the dropout.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017.

    Example:
        >>> sum(p.numel() for p in vgg4().parameters())
        1080470
    """
    from torch import nn

    model, before = nn.Sequential(), 3
    for number, after in enumerate((64, 64, 128, 128), start=1):
        model.add_module(f"conv{number}", nn.Conv2d(before, after, 3, padding=1))
        model.add_module(f"relu{number}", nn.ReLU())
        if number % 2 == 0:
            model.add_module(f"pool{number // 2}", nn.MaxPool2d(2))
        before = after
    model.add_module("flatten", nn.Flatten())
    model.add_module("hidden", nn.Linear(before * 8 * 8, 100))
    model.add_module("hidden_relu", nn.ReLU())
    model.add_module("dropout", nn.Dropout(0.5))
    model.add_module("output", nn.Linear(100, classes))
    return model
