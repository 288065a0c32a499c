"""The network on handwritten digits whose active filters Aouassar, Madhar and Gea looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def mnist_cnn(classes: int = 10) -> nn.Sequential:
    """Two 3x3 convolutions of 32 and 64 filters without padding, 2x2 max pooling, dense 128, dense; dropout .25, .5.

    1,199,882 parameters with 10 classes (320 + 18,496 + 1,179,776 + 1,290). Layers are named `conv1`, `relu1`,
    `conv2`, `relu2`, `pool`, `pool_dropout`, `flatten`, `hidden`, `hidden_relu`, `hidden_dropout`, `output`; logits
    (N, classes) for (N, 1, 28, 28).

    Source: O. Aouassar, N. Madhar and R. Gea, Visualizing and understanding convolutional networks, 2019.

    Example:
        >>> sum(p.numel() for p in mnist_cnn().parameters())
        1199882
    """
    from torch import nn

    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 32, 3),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(32, 64, 3),
        "relu2": nn.ReLU(),
        "pool": nn.MaxPool2d(2),
        "pool_dropout": nn.Dropout(0.25),
        "flatten": nn.Flatten(),
        "hidden": nn.Linear(64 * 12 * 12, 128),
        "hidden_relu": nn.ReLU(),
        "hidden_dropout": nn.Dropout(0.5),
        "output": nn.Linear(128, classes),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model
