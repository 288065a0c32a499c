"""The smallest networks that solve the synthetic datasets: one convolution, one pooling, a tiny classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cnnaudit.errors import ModelError

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
) -> nn.Sequential:
    """Convolution, ReLU, pooling, flatten, [hidden layer, ReLU], linear layer: logits (N, classes).

    The number of parameters is filters * (channels * kernel**2 + 1), plus f * classes + classes without a hidden
    layer, or f * hidden + hidden + hidden * classes + classes with one, where f = filters * (size // pool)**2 is the
    number of features: 16 for pool 28, 109 for pool 14 and hidden 12, 333 for pool 7 and hidden 16.

    Args:
        filters: filters of the convolution.
        kernel: side of each filter, odd or even; the convolution keeps the image's size ("same" padding).
        pool: side and stride of the pooling window; what is left over at the edge is dropped.
        hidden: neurons of the hidden layer; None: no hidden layer.
        classes: number of classes.
        padding_mode: what surrounds the image: `zeros`, `replicate`, `reflect` or `circular`.
        pooling: `max` or `average`.
        size: side of the (square) images.
        channels: channels of the images.

    Returns:
        A module with layers `conv`, `relu`, `pool`, `flatten`, [`hidden`, `hidden_relu`], `output`.

    Raises:
        ModelError: the pooling window is larger than the image, or a word is none of the choices.

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
    if not 1 <= pool <= size:
        raise ModelError(f"minimum: pool must be in 1..{size} for images of {size} pixels, got {pool!r}")
    features = filters * (size // pool) ** 2
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(channels, filters, kernel, padding="same", padding_mode=padding_mode),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(pool) if pooling == "max" else nn.AvgPool2d(pool),
        "flatten": nn.Flatten(),
    }
    if hidden:
        layers |= {"hidden": nn.Linear(features, hidden), "hidden_relu": nn.ReLU()}
    layers["output"] = nn.Linear(hidden or features, classes)
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model
