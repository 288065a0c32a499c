"""The images of the data that activate the units of layers most and least, found in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Of each unit of a layer the strongest images and the weakest, the outermost first; ties in their order.

    Attributes:
        high, low: (units, k), their activation.
        high_images, low_images: int (units, k), positions among the images.
        high_places, low_places: int (units, k, 2), row and column of the map's largest or smallest value there.
        size: height and width of the map.
        n: images among which they were sought.
    """

    high: np.ndarray
    high_images: np.ndarray
    high_places: np.ndarray
    low: np.ndarray
    low_images: np.ndarray
    low_places: np.ndarray
    size: np.ndarray
    n: np.ndarray

    def __len__(self) -> int:
        return len(self.high)

    @property
    def falls(self) -> bool:
        """Whether the layer falls below 0 on any image; after a ReLU its minimum is 0, which needs no picture."""
        return bool(self.low.min() < 0)


FIELDS = tuple(Exemplars.__dataclass_fields__)


def exemplars(
    model: nn.Module,
    images: torch.Tensor,
    layers: Sequence[str],
    k: int = 4,
    *,
    goal: Literal["unit", "channel"] = "unit",
    batch_size: int = 16,
    device: str | None = None,
) -> dict[str, Exemplars]:
    """The k images that activate each unit most, and those that do least.

    Args:
        images: float (N, C, H, W) in [0, 1].
        goal: what an image's activation is: `unit`, the largest value of the map (for the weakest images the
            smallest); `channel`, its mean.

    Raises:
        LayerError: the model has no such layer; near names are told.
        UnsupportedError: a layer has no maps, or the model hides its calls.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> found = exemplars(lenet(), torch.rand(20, 1, 28, 28), ["conv2"], k=3)["conv2"]
        >>> found.high.shape, bool((found.high[:, 0] >= found.low[:, 0]).all())
        ((32, 3), True)
    """
    from cnnaudit.activation.layers import over_layers

    def ask(*maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: list[torch.Tensor] = []
        for values in maps:
            flat, columns = values.flatten(2).float(), values.shape[3]
            for place in (flat.argmax(2), flat.argmin(2)):
                extreme = flat.gather(2, place[..., None])[..., 0]
                found += [flat.mean(2) if goal == "channel" else extreme, place // columns, place % columns]
            found.append(flat.new_tensor(values.shape[2:]).expand(len(flat), 2))
        return tuple(part.cpu() for part in found)

    parts = over_layers(model, images, list(layers), ask, batch_size, device)
    return {layer: _exemplars([part.numpy() for part in parts[7 * j : 7 * j + 7]], k) for j, layer in enumerate(layers)}


def _exemplars(parts: Sequence[np.ndarray], k: int) -> Exemplars:
    """The outermost images of each unit, out of values, rows and columns (N, units) of the largest and the smallest."""
    high, low = _outermost(parts[0], parts[1], parts[2], k, -1), _outermost(parts[3], parts[4], parts[5], k, 1)
    return Exemplars(*high, *low, parts[6][0].astype(np.int64), np.asarray(len(parts[0])))


def _outermost(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, k: int, sign: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(sign * values, axis=0, kind="stable")[:k]
    places = np.stack([np.take_along_axis(axis, order, 0).T for axis in (rows, columns)], axis=2)
    return np.take_along_axis(values, order, 0).T.astype(np.float64), order.T, places
