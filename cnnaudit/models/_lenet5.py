"""LeNet-5, the first convolutional network on handwritten digits that was widely used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def lenet5(classes: int = 10, activation: str = "tanh", pooling: str = "average") -> nn.Sequential:
    """Convolutions of 6 and 16 filters of 5x5, each pooled; dense 120, dense 84, dense.

    61,706 parameters with 10 classes. Unlike the original, each of the 16 filters reads all 6 maps, pooling has no
    weights, and the output is a linear layer. Layers are named `conv1`, `act1`, `pool1`, `conv2` …, `flatten`,
    `hidden1`, `hidden1_act`, `hidden2`, `hidden2_act`, `output`; logits (N, classes) for (N, 1, 28, 28).

    Args:
        activation: `relu`, `tanh`, `sigmoid`, `elu` or `heaviside`.
        pooling: `max`, `average` or `l2`.

    Raises:
        ModelError: there is no such activation or pooling.

    Source: Y. LeCun et al., Gradient-based learning applied to document recognition, 1998.

    Example:
        >>> sum(p.numel() for p in lenet5().parameters())
        61706
    """
    from torch import nn

    from cnnaudit.models.activations import activation_named, pooling_named

    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 6, 5, padding=2),
        "act1": activation_named(activation),
        "pool1": pooling_named(pooling),
        "conv2": nn.Conv2d(6, 16, 5),
        "act2": activation_named(activation),
        "pool2": pooling_named(pooling),
        "flatten": nn.Flatten(),
        "hidden1": nn.Linear(16 * 5 * 5, 120),
        "hidden1_act": activation_named(activation),
        "hidden2": nn.Linear(120, 84),
        "hidden2_act": activation_named(activation),
        "output": nn.Linear(84, classes),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model
