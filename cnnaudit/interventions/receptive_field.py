"""Which pixels of the image a unit of a layer can see, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.box import Box
from cnnaudit.interventions.map_layout import map_reader
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.reach import Reach


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """The boxes of all positions of a layer.

    Attributes:
        edges: int (4, C, h, w), or (4, C) for a dense layer: top, left, bottom, right; bottom < top where empty.
    """

    layer: str
    edges: np.ndarray

    def box(self, position: tuple[int, int] | None = None, unit: int | None = None) -> Box:
        """The box of one position, of one unit or around those of all.

        Raises:
            UnsupportedError: the position or unit lies outside the layer, or a map needs a position.
        """
        edges = self.edges
        if edges.ndim == 4:
            edges = edges[:, :, *self._within(position, edges.shape[2:])]
        elif position is not None:
            raise UnsupportedError(f"layer {self.layer!r} has no maps, so its units have no position")
        if unit is not None:
            if not 0 <= unit < edges.shape[1]:
                raise UnsupportedError(f"layer {self.layer!r} has the units 0..{edges.shape[1] - 1}, got {unit}")
            edges = edges[:, unit : unit + 1]
        top, left = (int(edge) for edge in edges[:2].min(axis=1))
        bottom, right = (int(edge) for edge in edges[2:].max(axis=1))
        return Box(top, left, bottom, right) if bottom > top and right > left else Box(0, 0, 0, 0)

    def _within(self, position: tuple[int, int] | None, shape: tuple[int, ...]) -> tuple[int, int]:
        if position is None or not all(0 <= at < length for at, length in zip(position, shape)):
            size = " x ".join(map(str, shape))
            raise UnsupportedError(
                f"layer {self.layer!r} has maps of {size}: give a (row, column) in it, got {position}"
            )
        return position


def receptive_fields(model: nn.Module, layer: str, shape: tuple[int, int, int]) -> ReceptiveFields:
    """The receptive field of every position of a layer, for images of `shape` (C, H, W), in one forward pass.

    The box of an output position is the smallest one around the boxes of all the values it is computed from: those in
    a convolution's or pooling's window (with stride, dilation, groups, any padding, ceil_mode), both summands of a
    residual connection, all channels that a convolution mixes. Cropping, padding, flips and concatenation move boxes
    as they move values. The image's edge cuts them: padding is no part of the image.

    It is what the architecture connects; a weight of exactly 0 still counts.

    Raises:
        LayerError: the model has no such layer.
        UnsupportedError: the layer's values pass through a function whose reach is not known (named in the message), or
            which of its axes are channels and places is not established, or the model hides its calls.

    Source: A. Araujo, W. Norris, J. Sim, Computing receptive fields of convolutional neural networks, Distill 2019
        (here by propagation through the pass itself, which needs no alignment of branches).
    """
    parameter = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    images = torch.rand(getattr(model, "batch", None) or 1, *shape, generator=torch.Generator().manual_seed(0))
    images = images.to(parameter)
    reach = Reach(model, layer)
    with torch.no_grad(), evaluating(model, own_images=False), reach:
        model(reach.begin(images))
    found = reach.found()
    read = map_reader(model, images, layer) if found[0].ndim > 2 else None
    top, bottom, left, right = ((edge if read is None else read(edge))[0].cpu().double().numpy() for edge in found)
    edges = np.stack([-top, -left, bottom + 1, right + 1])
    return ReceptiveFields(layer, np.where(np.isfinite(edges), edges, 0).astype(np.int64))


def receptive_field(
    model: nn.Module,
    layer: str,
    shape: tuple[int, int, int],
    position: tuple[int, int] | None = None,
    unit: int | None = None,
) -> Box:
    """The receptive field of one position of a layer, see `receptive_fields`.

    Args:
        layer: as in `named_modules()`, or a call such as `block1/relu:2`.
        shape: (C, H, W) of the images.
        position: row and column in the layer's maps; None for a dense layer.
        unit: the map; None: the box around those of all units (they differ after parallel branches only).

    Raises:
        LayerError: the model has no such layer.
        UnsupportedError: the position or unit lies outside the layer; see `receptive_fields`.

    Example:
        >>> from cnnaudit.models import lenet
        >>> receptive_field(lenet(), "pool2", (1, 28, 28), (0, 0))
        Box(top=0, left=0, bottom=10, right=10)
    """
    return receptive_fields(model, layer, shape).box(position, unit)
