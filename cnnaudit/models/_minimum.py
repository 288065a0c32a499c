"""The smallest networks that solve the synthetic datasets: one convolution, one pooling, a tiny classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def minimum(
    filters: int = 1,
    kernel: int = 3,
    pool: int = 28,
    hidden: int | None = None,
    classes: int = 3,
    padding_mode: Literal["zeros", "replicate", "reflect", "circular"] = "zeros",
    pooling: Literal["max", "average"] = "max",
    size: int = 28,
    channels: int = 1,
    stride: int = 1,
    activation: Literal["relu", "abs", "tanh"] = "relu",
) -> nn.Sequential:
    """Convolution, ReLU, pooling, flatten, [hidden layer, ReLU], linear layer: logits (N, classes).

    The number of parameters is filters * (channels * kernel**2 + 1), plus f * classes + classes without a hidden
    layer, or f * hidden + hidden + hidden * classes + classes with one, where f = filters * (map // pool)**2 is the
    number of features and map the side of the feature map (`map_side`): 16 for pool 28, 109 for pool 14 and hidden 12,
    333 for pool 7 and hidden 16.

    Args:
        filters: filters of the convolution.
        kernel: side of each filter, odd or even; without a stride the convolution keeps the image's size ("same"
            padding).
        pool: side and stride of the pooling window; what is left over at the edge is dropped.
        hidden: neurons of the hidden layer; None: no hidden layer.
        classes: number of classes.
        padding_mode: what surrounds the image: `zeros`, `replicate`, `reflect` or `circular`.
        pooling: `max` or `average`.
        size: side of the (square) images.
        channels: channels of the images.
        stride: step of the convolution; with 2 or more, (kernel - 1) // 2 pixels of padding stand on every side.
        activation: after the convolution and the hidden layer: `relu`, `abs` (the same for a filter and its negative)
            or `tanh`.

    Returns:
        A module with layers `conv`, `relu`, `pool`, `flatten`, [`hidden`, `hidden_relu`], `output`; another activation
        gives its name to its layers.

    Raises:
        ModelError: the pooling window is larger than the feature map, or a word is none of the choices.

    Source: I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, Table I.

    Example:
        >>> sum(p.numel() for p in minimum(pool=14, hidden=12).parameters())
        109
    """
    from torch import nn

    if pooling not in ("max", "average"):
        raise ModelError(f"minimum: pooling must be max or average, got {pooling!r}")
    if padding_mode not in ("zeros", "replicate", "reflect", "circular"):
        raise ModelError(f"minimum: padding_mode must be zeros, replicate, reflect or circular, got {padding_mode!r}")
    if activation not in ("relu", "abs", "tanh"):
        raise ModelError(f"minimum: activation must be relu, abs or tanh, got {activation!r}")
    side = map_side(size, kernel, stride)
    if not 1 <= pool <= side:
        raise ModelError(
            f"minimum: pool must be in 1..{side} for images of {size} pixels and stride {stride}, got {pool!r}"
        )
    features = filters * (side // pool) ** 2
    padding = "same" if stride == 1 else (kernel - 1) // 2
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(channels, filters, kernel, stride, padding, padding_mode=padding_mode),
        activation: _activation(activation),
        "pool": nn.MaxPool2d(pool) if pooling == "max" else nn.AvgPool2d(pool),
        "flatten": nn.Flatten(),
    }
    if hidden:
        layers |= {"hidden": nn.Linear(features, hidden), f"hidden_{activation}": _activation(activation)}
    layers["output"] = nn.Linear(hidden or features, classes)
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def map_side(size: int, kernel: int, stride: int) -> int:
    """Side of the feature map that the convolution of `minimum` makes of images of that size.

    Example:
        >>> map_side(28, 3, 1), map_side(28, 3, 2)
        (28, 14)
    """
    return size if stride == 1 else (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


def _activation(name: str) -> nn.Module:
    """The layer of that name."""
    from torch import nn

    from cnnaudit.models.absolute import Absolute

    layers: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "abs": Absolute}
    return layers[name]()
