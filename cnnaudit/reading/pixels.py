"""The pixel of maximum activation: where in the map each pooled feature was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.data.background import ring
from cnnaudit.interventions import Call
from cnnaudit.interventions.batches import in_batches
from cnnaudit.interventions.inputs import input_of
from cnnaudit.reading.features import Place


@dataclass(frozen=True, eq=False)
class MaximumPixels:
    """Where each feature's maximum lies.

    Attributes:
        rows, columns: of the pixel in the map that is pooled, counted from 0, int64 (n, d); -1 where the cell holds
            nothing above 0. Of equal maxima the first, row by row.
        strength: the activation there, (n, d).
        size: height and width of the map.
    """

    rows: np.ndarray
    columns: np.ndarray
    strength: np.ndarray
    size: tuple[int, int]

    def frequency(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """How often each pixel of the map is a maximum, over the features: the share of the chosen images, (H, W)."""
        rows, columns = (values if chosen is None else values[chosen] for values in (self.rows, self.columns))
        counts = np.zeros(self.size)
        np.add.at(counts, (rows[rows >= 0], columns[rows >= 0]), 1)
        return counts / max(len(rows), 1)

    def at_border(self) -> np.ndarray:
        """Whether each feature's pixel lies in the outermost ring of the map, bool (n, d)."""
        outline = ring(*self.size).numpy()
        return np.asarray((self.rows >= 0) & outline[self.rows, self.columns])


def maximum_pixels(
    model: nn.Module, images: torch.Tensor, place: Place, *, batch_size: int = 64, device: str = "cpu"
) -> MaximumPixels:
    """The pixel of maximum activation of each feature in each image.

    Max pooling keeps exactly that pixel; with average pooling it is the strongest of those that are averaged.

    Args:
        images: float (n, C, H, W) in [0, 1].
        place: of features that are pooled cells.

    Raises:
        UnsupportedError: the features have no place in the image.

    Source: España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, figures 7 and 21-24.

    Example:
        >>> from cnnaudit.interventions import calls
        >>> from cnnaudit.models import minimum
        >>> from cnnaudit.reading.features import few_features
        >>> net, images = minimum(pool=14), torch.rand(3, 1, 28, 28)
        >>> maximum_pixels(net, images, few_features(calls(net, images[:1]))).rows.shape
        (3, 4)
    """
    if place.pooling is None:
        raise UnsupportedError(f"{place.words} is not made of pooled cells, so its features have no place in the image")
    pooling = place.pooling

    def find(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = input_of(model, batch.to(device), pooling.name)
        strength, index = strongest(maps, pooling)
        return strength.flatten(1).cpu(), index.flatten(1).cpu()

    with torch.no_grad():
        bound = getattr(model, "batch", None)
        strength, index = (part.numpy() for part in in_batches(find, images, batch_size=batch_size, bound=bound))
    height, width = _map_size(pooling)
    rows, columns = np.where(strength > 0, index // width, -1), np.where(strength > 0, index % width, -1)
    return MaximumPixels(rows, columns, strength.astype(float), (height, width))


def strongest(maps: torch.Tensor, pooling: Call) -> tuple[torch.Tensor, torch.Tensor]:
    """Per cell of a pooling the largest value (N, C, h, w) and its place in the unpadded map, row * width + column."""
    width = maps.shape[-1]
    if pooling.geometry is None:
        cells = pooling.output_shape[2:] if len(pooling.output_shape) == 4 else (1, 1)
        return F.adaptive_max_pool2d(maps, cells, return_indices=True)
    given = pooling.geometry
    height = _map_size(pooling)[0]
    left, right, top, bottom = given.padding if maps.shape[-2] == height else (0, 0, 0, 0)
    padded = F.pad(maps, (left, right, top, bottom), value=float("-inf"))
    values, index = F.max_pool2d(
        padded, given.kernel, given.stride, 0, given.dilation, given.ceil_mode, return_indices=True
    )
    rows, columns = index // padded.shape[-1] - top, index % padded.shape[-1] - left
    return values, rows * width + columns


def _map_size(pooling: Call) -> tuple[int, int]:
    """Height and width of the map that is pooled, before padding."""
    height, width = pooling.input_shape[-2:]
    return height, width
