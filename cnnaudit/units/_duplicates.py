"""Units that are copies of one another, up to sign, rotation and flip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.core.statistics import generator
from cnnaudit.units._kernels import CONSTANT, LayerKernels, kernels
from cnnaudit.units.border import permuted
from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import torch
    from torch import nn

COPY = 0.9  # the correlation from which a unit is called a copy: 81 % of the variance is shared
DRAWS = 20  # permuted layers; that the best pair of one more exceeds all theirs has the probability 1 / 21
NEAR = 0.2  # below the threshold by this, the best pair of one permuted layer tells that no other comes near it
TURNS = ("", "turned by 90", "turned by 180", "turned by 270")
SYMMETRIES = (*TURNS, *(f"flipped, {turn}" if turn else "flipped" for turn in TURNS))


@dataclass(frozen=True, slots=True)
class Copy:
    """Two units of a layer, the second of which is nearly the first.

    Attributes:
        correlation: of the first with the second after its symmetry; negative where the sign is turned too.
        symmetry: what is done to the second, turned counterclockwise; empty where nothing is.
    """

    layer: str
    unit: int
    other: int
    correlation: float
    symmetry: str


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike the units of a layer are.

    Attributes:
        correlation: (units, units) the correlation that is largest in size over the symmetries, with its sign; 0 on the
            diagonal, for units of different groups and for constant kernels.
        symmetry: (units, units) the number of that symmetry in `SYMMETRIES`.
    """

    correlation: np.ndarray
    symmetry: np.ndarray

    def best(self) -> np.ndarray:
        """(units,) the size of each unit's correlation with the unit most like it."""
        return np.asarray(np.abs(self.correlation).max(axis=1))


def likeness(weights: np.ndarray, groups: int = 1) -> Likeness:
    """Correlations of every two units' kernels, at best over the symmetries of the square and the sign.

    The weights of a unit, over all its inputs, are one vector with mean 0 and norm 1; a symmetry moves the positions
    in each of its kernels alike. Kernels that are not square have the four symmetries that keep their shape. Units of
    different groups see different inputs and are not compared.

    Args:
        weights: (units, inputs, h, w).

    Example:
        >>> edge = np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
        >>> found = likeness(np.stack([edge, np.rot90(edge)])[:, None])
        >>> bool(np.isclose(abs(found.correlation[0, 1]), 1))
        True
    """
    import torch

    units, height, width = len(weights), *weights.shape[2:]
    wide = weights.astype(np.float32) - weights.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    norms = np.sqrt(np.einsum("uchw,uchw->u", wide, wide, dtype=np.float64))
    size = np.abs(weights).max(axis=(1, 2, 3)) * np.sqrt(weights[0].size)
    scale = np.divide(1, norms, out=np.zeros(units), where=norms > CONSTANT * size)
    rows = (wide * scale[:, None, None, None]).astype(np.float32)
    flat = torch.from_numpy(rows).reshape(units, -1)
    best, symmetry = np.zeros((units, units), np.float32), np.zeros((units, units), np.int8)
    for k in range(len(SYMMETRIES)):
        if height != width and k % 2:
            continue
        other = np.rot90(rows[..., ::-1] if k >= 4 else rows, k % 4, axes=(2, 3))
        found = (flat @ torch.from_numpy(other.copy()).reshape(units, -1).T).numpy()
        larger = np.abs(found) > np.abs(best)
        best[larger], symmetry[larger] = found[larger], k
    group = np.arange(units) // (units // groups)
    best[(group[:, None] != group) | np.eye(units, dtype=bool)] = 0
    return Likeness(best.clip(-1, 1), symmetry)


def duplicates(
    model: nn.Module,
    threshold: float = COPY,
    image: torch.Tensor | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[LayerShare]:
    """The units of each layer that have a copy in it: a correlation of at least the threshold, up to symmetry and sign.

    See `likeness`. Small kernels of few inputs are alike by chance: a unit is only found where its correlation also
    exceeds that of every pair in 20 copies of the layer whose kernels have their positions permuted, each kernel on
    its own (so that a layer without copies is spared with the probability 20 / 21). One such copy is drawn where its
    best pair stays .2 below the threshold: the others do not come near it. The null of a row is the share of permuted
    units above the threshold itself.

    Layers of 1x1 kernels, and those with one unit a group, are left out: they have no symmetries, or no pairs. Kernels
    that are constant are copies of nothing.

    Args:
        threshold: in 0..1.
        image: (1, C, H, W), see `kernels`.

    Raises:
        DataError: a threshold outside 0..1.
        UnsupportedError: no layer can be asked.
        ModelError: as `kernels`.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017, which
        saw that many filters are copies or rotated copies.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> layer = nn.Conv2d(4, 6, 3)
        >>> with torch.no_grad():
        ...     _ = layer.weight[1].copy_(-layer.weight[0].rot90(1, (1, 2)))
        >>> duplicates(nn.Sequential(layer))[0].found
        (0, 1)
    """
    rows = []
    for layer in pair_layers(model, image):
        bound, null = _bound(layer, threshold, seed)
        rows.append(
            layer_share(
                layer.layer,
                layer.units,
                np.flatnonzero(likeness(layer.weights, layer.groups).best() >= bound),
                confidence=confidence,
                null=null,
                null_name="permuted kernels",
            )
        )
    return rows


def copies(layer: LayerKernels, threshold: float = COPY, seed: int = 0, most: int | None = None) -> list[Copy]:
    """The pairs of a layer behind `duplicates`, most alike first; n equal units make n (n - 1) / 2 of them.

    Args:
        most: how many pairs; None: all.

    Raises:
        DataError: a threshold outside 0..1.
    """
    bound, _ = _bound(layer, threshold, seed)
    found = likeness(layer.weights, layer.groups)
    size = np.abs(np.triu(found.correlation, 1))
    pairs = np.argwhere(size >= bound)
    pairs = pairs[np.argsort(-size[tuple(pairs.T)], kind="stable")][:most]
    return [
        Copy(layer.layer, int(a), int(b), float(found.correlation[a, b]), SYMMETRIES[found.symmetry[a, b]])
        for a, b in pairs
    ]


def pair_layers(model: nn.Module, image: torch.Tensor | None = None) -> list[LayerKernels]:
    """The layers that can be asked: spatial kernels, and two units or more in a group.

    Raises:
        UnsupportedError: there is none.
    """
    found = [layer for layer in kernels(model, image) if layer.spatial and layer.units // layer.groups > 1]
    if not found:
        raise UnsupportedError("no convolution has two units on the same inputs with kernels larger than one pixel")
    return found


def _bound(layer: LayerKernels, threshold: float, seed: int) -> tuple[float, float]:
    """The correlation to reach, and the share of permuted units above the threshold itself."""
    if not 0 <= threshold <= 1:
        raise DataError(f"duplicates: threshold must be in 0..1, got {threshold!r}")
    rng = generator(seed, layer.layer, "permuted pairs")
    drawn: list[np.ndarray] = []
    for weights in permuted(layer.weights, DRAWS, rng):
        drawn.append(likeness(weights, layer.groups).best())
        if np.max(drawn) < threshold - NEAR:
            break
    highest = np.nextafter(np.float32(np.max(drawn)), np.float32(2))
    return max(threshold, float(highest)), float(np.mean(np.array(drawn) >= threshold))
