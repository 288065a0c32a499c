"""What every layer makes of an image: its feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from cnnaudit.activation.layers import over_layers, spatial_layers


def feature_maps(
    model: nn.Module, images: torch.Tensor, layers: Sequence[str] | None = None, *, batch_size: int = 16
) -> Mapping[str, torch.Tensor]:
    """The maps of named layers, or of every layer that has maps, for each image.

    Args:
        images: float (N, C, H, W), whatever range the model takes.
        layers: names as in `named_modules()`, or of calls (`block1/relu:2`, see `interventions.calls`); None: all
            convolutions, normalizations, activations, poolings and joins. Those of a deep network need much memory:
            a ResNet-50 at 224 x 224 has 143 MiB of maps for an image.
        batch_size: images in memory at once; halved when memory runs out.

    Returns:
        Layer name -> (N, units, height, width), on the images' device, in the order of the pass (or as asked).

    Raises:
        LayerError: the model has no such layer; the message lists near names.
        DataError: the images are no finite (N, C, H, W).
        ModelError: the model raises on the images.
        UnsupportedError: a layer's output is no map (a dense layer), or the model hides its calls (TorchScript, ONNX).

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> maps = feature_maps(lenet(), torch.rand(2, 1, 28, 28))
        >>> {name: tuple(value.shape) for name, value in maps.items() if "pool" in name}
        {'pool1': (2, 32, 13, 13), 'pool2': (2, 32, 5, 5)}
    """
    names = list(layers) if layers is not None else [call.name for call in spatial_layers(model, images)]
    return dict(zip(names, over_layers(model, images, names, lambda *maps: maps, batch_size)))
