"""Which filters of a layer are active on which images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.activation.layers import over_layers


@dataclass(frozen=True, eq=False)
class ActiveFilters:
    """How strongly each filter responds to each image.

    Attributes:
        layer: the layer's name.
        norms: (N, units), the Euclidean norm of each filter's map.
    """

    layer: str
    norms: np.ndarray

    @property
    def active(self) -> np.ndarray:
        """bool (N, units): the filter's norm on that image exceeds the mean over the filters."""
        return np.asarray(self.norms > self.norms.mean(axis=1, keepdims=True))

    def share(self) -> np.ndarray:
        """(units,): the share of all images on which each filter is active."""
        return np.asarray(self.active.mean(axis=0))

    def share_by_class(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """(classes, units): the share of each class's images on which each filter is active; NaN for an empty class.

        Args:
            labels: int (N,), in 0..classes - 1.
        """
        counts = np.bincount(labels, minlength=classes)[:, None].astype(float)
        sums = np.eye(classes)[labels].T @ self.active
        return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))

    @property
    def never(self) -> np.ndarray:
        """The filters that are active on no image."""
        return np.nonzero(~self.active.any(axis=0))[0]

    @property
    def always(self) -> np.ndarray:
        """The filters that are active on every image."""
        return np.nonzero(self.active.all(axis=0))[0]


def active_filters(model: nn.Module, images: torch.Tensor, layer: str, *, batch_size: int = 16) -> ActiveFilters:
    """The filters that are active on each image: ||map of the filter|| > mean over the filters of ||map||.

    The mean is taken over the filters of the layer for that image (over images alone, no filter could be active on
    none), so that 0 < active filters < all on every image where the filters differ.

    Args:
        images: float (N, C, H, W).
        layer: a layer with maps, as in `named_modules()`, or a call such as `block1/relu:2`.
        batch_size: images in memory at once; halved when memory runs out.

    Raises:
        LayerError: the model has no such layer; the message lists near names.
        DataError: the images are no finite (N, C, H, W).
        UnsupportedError: the layer has no maps.

    Source: Aouassar, Madhar and Gea, Visualizing and understanding convolutional networks, 2019.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> found = active_filters(lenet(), torch.rand(6, 1, 28, 28), "conv1")
        >>> found.norms.shape, found.share_by_class(torch.tensor([0, 0, 0, 1, 1, 1]).numpy(), 2).shape
        ((6, 32), (2, 32))
    """
    return filter_responses(model, images, layer, grid=1, batch_size=batch_size)[0]


def filter_responses(
    model: nn.Module,
    images: torch.Tensor,
    layer: str,
    *,
    grid: int = 4,
    batch_size: int = 16,
    device: str | None = None,
) -> tuple[ActiveFilters, np.ndarray]:
    """The active filters, and every filter's map averaged over a grid: float32 (N, units, at most grid^2).

    Args:
        grid: rows and columns of the grid; fewer where the map is smaller.
        device: where the batches go; None: they stay where the images are.
    """

    def ask(maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cells = (min(grid, maps.shape[2]), min(grid, maps.shape[3]))
        pooled = functional.adaptive_avg_pool2d(maps.float(), cells).flatten(2)
        return maps.double().flatten(2).norm(dim=2).cpu(), pooled.cpu()

    norms, pooled = over_layers(model, images, [layer], ask, batch_size, device)
    return ActiveFilters(layer, norms.numpy()), pooled.numpy()
