"""The gradient of the score, and the gradient times the input."""

from __future__ import annotations

import torch
from torch import nn

from cnnaudit.attribution.backward import input_gradient
from cnnaudit.attribution.batches import in_batches, say_where_zero
from cnnaudit.attribution.scores import ClassIndex, Unit


def gradient(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The derivative of the score with respect to each pixel, d score / d image.

    Args:
        images: (N, C, H, W) floating-point, on the device of the model.
        class_index, layer, unit: what is explained, see `scores.scores`.

    Returns:
        (N, C, H, W), in units of the score per unit of pixel, positive or negative.

    Raises:
        AuditError: a class or unit out of range.
        DataError: the images are none, or hold NaN.
        LayerError: the model has no such layer.
        ModelError: the model raises on the images or answers anything but finite logits.
        UnsupportedError: the score is not differentiable with respect to the images.

    Source: Simonyan et al., Deep inside convolutional networks, 2013 (arXiv 1312.6034).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> gradient(net, torch.rand(2, 1, 2, 2), 1).flatten(1)[0].equal(net[1].weight[1])
        True
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return input_gradient(model, batch, target, layer, unit)

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "gradient")


def gradient_times_input(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The gradient times the pixel, image * d score / d image: for a linear model what each pixel adds to the score.

    Arguments, shapes and errors as in `gradient`; in units of the score. A black pixel (0) never gets anything.

    Source: Shrikumar et al., Not just a black box, 2016 (arXiv 1605.01713).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3, bias=False))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> torch.allclose(gradient_times_input(net, images, 1).sum((1, 2, 3)), net(images)[:, 1])
        True
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return batch * input_gradient(model, batch, target, layer, unit)

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "gradient_times_input")
