"""Where a layer responds most, and to which images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from cnnaudit.activation.layers import over_layers
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.box import Box
from cnnaudit.interventions.receptive_field import receptive_fields


class Maximum(NamedTuple):
    """The strongest pixel of every image's maps, each (N, units): `rows` and `columns` int64, `values` float."""

    rows: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor


@dataclass(frozen=True, eq=False)
class TopImage:
    """One of the images that activate a unit most.

    Attributes:
        index: its position among the images.
        value: the unit's largest activation.
        row, column: the pixel of the map that holds it.
        box: the pixels of the image that the unit sees there.
        patch: those pixels, (C, height, width).
    """

    index: int
    value: float
    row: int
    column: int
    box: Box
    patch: torch.Tensor


def maximum_activation(model: nn.Module, images: torch.Tensor, layer: str, *, batch_size: int = 16) -> Maximum:
    """Per image and unit, the pixel of the map that responds most: argmax over rows and columns, the first of equals.

    Args:
        images: float (N, C, H, W).
        layer: a layer with maps, as in `named_modules()`, or a call such as `block1/relu:2`.
        batch_size: images in memory at once; halved when memory runs out.

    Raises:
        LayerError: the model has no such layer; the message lists near names.
        DataError: the images are no finite (N, C, H, W).
        UnsupportedError: the layer has no maps.

    Source: I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021.

    Example:
        >>> import torch
        >>> net, image = torch.nn.Sequential(torch.nn.MaxPool2d(1)), torch.zeros(1, 1, 4, 5)
        >>> image[0, 0, 2, 3] = 1
        >>> [int(part) for part in maximum_activation(net, image, "0")]
        [2, 3, 1]
    """

    def ask(maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        places = maps.flatten(2).argmax(2)  # unlike max, it gives the first of equals on every device
        return places // maps.shape[3], places % maps.shape[3], maps.flatten(2).gather(2, places[..., None])[..., 0]

    return Maximum(*over_layers(model, images, [layer], ask, batch_size))


def top_images(
    model: nn.Module, images: torch.Tensor, layer: str, unit: int, k: int = 9, *, batch_size: int = 16
) -> list[TopImage]:
    """The `k` images that activate a unit most, strongest first, each with the patch that the unit sees there.

    Args:
        images: float (N, C, H, W).
        layer: a layer with maps.
        unit: the number of the map.
        k: how many; fewer where there are fewer images. Equal ones in the order of the images.

    Raises:
        LayerError: the model has no such layer.
        UnsupportedError: the layer has no maps, no such unit, or a receptive field that is not known.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017; Zeiler
        and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv 1311.2901).

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> best = top_images(lenet(), torch.rand(20, 1, 28, 28), "conv2", unit=3, k=2)
        >>> len(best), best[0].value >= best[1].value, best[0].patch.shape
        (2, True, torch.Size([1, 8, 8]))
    """
    found = maximum_activation(model, images, layer, batch_size=batch_size)
    units = found.values.shape[1]
    if not 0 <= unit < units:
        raise UnsupportedError(f"layer {layer!r} has the units 0..{units - 1}, got {unit}")
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    fields = receptive_fields(model, layer, shape)
    order = found.values[:, unit].sort(descending=True, stable=True).indices[:k].tolist()
    best = []
    for index in order:
        row, column = int(found.rows[index, unit]), int(found.columns[index, unit])
        box = fields.box((row, column), unit)
        patch = images[index, :, box.top : box.bottom, box.left : box.right]
        best.append(TopImage(index, float(found.values[index, unit]), row, column, box, patch))
    return best
