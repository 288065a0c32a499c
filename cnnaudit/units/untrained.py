"""Filters that cannot be told from the noise that training began with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.statistics import generator
from cnnaudit.units._kernels import LayerKernels, kernels
from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import torch
    from torch import nn

ALPHA = 0.1  # at .05, whole layers of trained networks with kernels of 72 weights pass for noise
FEWEST = 16  # units, and input channels, from which units of 1x1 or depthwise kernels are told by one another
_FREQUENCY = 0.25  # cycles per pixel, half of what an image can hold

Measure = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class LayerNoise:
    """How well each unit's kernels can be told from noise.

    Attributes:
        layer: as in `interventions.calls`.
        population: how many units the layer has.
        units: (n,), those that were asked.
        p_values: (n,), of 'the weights of this unit are independent draws from one distribution'; NaN where nothing can
            be said: a kernel of zeros, or a layer with no test.
        tests: which statistics were asked; none for 1x1 kernels of few units or inputs.
        weights: numbers in a unit's kernels.
    """

    layer: str
    population: int
    units: np.ndarray
    p_values: np.ndarray
    tests: tuple[str, ...]
    weights: int

    @property
    def noise(self) -> np.ndarray:
        """bool (n,): indistinguishable from noise, p above .1."""
        return np.asarray(self.p_values > ALPHA)


def noise_p_values(
    layers: Sequence[LayerKernels], *, most: int | None = None, permutations: int = 99, seed: int = 0
) -> list[LayerNoise]:
    """For each unit, whether its weights could be independent draws, by permutation of its own weights.

    Whatever the initialization, it draws the weights of a unit independently from one distribution (orthogonal
    initializations nearly so), which shuffling them does not change; training ties them together. The statistics are

    - `smoothness`: sum of products of neighboring weights, within kernels;
    - `spectrum`: |S|^2 with S (hw, hw) the second moments of the unit's kernels over its inputs, which is smallest
      where all places and directions in the kernel are alike (the sphericity test of John and Nagao);

    and those that ask whether a unit is like the others of its layer, of which a random half serves as the reference
    for the other:

    - `places` (kernels larger than 1x1): <S, mean S of the reference>;
    - `inputs` (1x1): correlation of the squared weights with those of the reference;
    - `directions` (1x1): energy along the singular vectors of the reference beyond the edge of Marchenko and Pastur,
      sqrt(n) + sqrt(d) for n units of d weights of variance 1 (the first vector where there are none).

    They are standardized over the permutations, and the largest decides.

    Args:
        most: units of a layer that are asked, drawn at random; None: all.
        permutations: of each unit's weights; p is at least 1 / (permutations + 1).

    Returns:
        One entry per layer; those that cannot be asked have `tests` empty and p-values NaN.

    Source: S. John, 1971 and H. Nagao, 1973 (sphericity); V. Marchenko and L. Pastur, 1967.
    """
    return [
        _asked(layer, most, permutations, generator(seed, "noise", layer.layer, *layer.weights.shape))
        for layer in layers
    ]


def untrained(
    model: nn.Module,
    image: torch.Tensor | None = None,
    *,
    permutations: int = 99,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[LayerShare]:
    """Per layer the filters that cannot be told from initialization noise: p above .1, see `noise_p_values`.

    Of an untrained layer 90 % are found, which is returned as the null. A filter of few weights is found whether it
    is noise or not, since nothing can tell: a 3x3 kernel on one channel has nine. Layers that cannot be asked at all
    (1x1 kernels of fewer than 16 units or inputs) are left out.

    Args:
        image: (1, C, H, W), so that functional convolutions are seen; see `units.kernels`.

    Raises:
        UnsupportedError: the model has no 2-d convolution.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017: what
        is not trained enough looks like noise.

    Example:
        >>> from cnnaudit.models import lenet
        >>> row = untrained(lenet((8, 64)))[1]
        >>> row.layer, row.share > 0.8
        ('conv2', True)
    """
    rows = noise_p_values(kernels(model, image), permutations=permutations, seed=seed)
    return [
        layer_share(
            row.layer,
            row.population,
            row.units[row.noise],
            confidence=confidence,
            null=1 - ALPHA,
            null_name="initialization",
        )
        for row in rows
        if row.tests
    ]


def high_frequencies(images: torch.Tensor) -> np.ndarray:
    """The share of each image's energy at more than a quarter of a cycle per pixel, its mean left out; NaN if flat.

    White noise has 1 - pi / 16 = .80, as much as such frequencies have of all. The optimum of a unit, found without a
    regularizer, has as much where the layers before it and it are noise, and less the more they have learned.

    Args:
        images: float (N, C, H, W).

    Returns:
        (N,), in 0..1.

    Raises:
        DataError: the images are smaller than 4 x 4.

    Example:
        >>> import torch
        >>> checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2
        >>> high_frequencies(checkers.float().expand(1, 1, 8, 8)).tolist()
        [1.0]
    """
    if images.ndim != 4 or min(images.shape[2:]) < 4:
        raise DataError(f"images: expected (N, C, H, W) of at least 4 x 4 pixels, got {tuple(images.shape)}")
    pixels = images.detach().cpu().double().numpy()
    energy = np.abs(np.fft.fft2(pixels - pixels.mean(axis=(2, 3), keepdims=True))) ** 2
    rows, columns = (np.fft.fftfreq(side) for side in images.shape[2:])
    high = np.hypot(rows[:, None], columns) > _FREQUENCY
    total = energy.sum(axis=(1, 2, 3))
    seen = total > 1e-12 * (pixels**2).sum(axis=(1, 2, 3)) * images.shape[2] * images.shape[3]
    part = energy[..., high].sum(axis=(1, 2))
    return np.asarray(np.divide(part, total, out=np.full(len(total), np.nan), where=seen))


def _asked(layer: LayerKernels, most: int | None, permutations: int, rng: np.random.Generator) -> LayerNoise:
    """The p-values of a layer's units, or of `most` of them."""
    norms = np.sqrt((layer.weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    order = rng.permutation(layer.units)
    chosen = np.sort(order[:most])
    p_values = np.full(layer.units, np.nan)
    alive = order[norms[order] > 0]
    scaled = layer.weights / np.where(norms > 0, norms, 1).astype(np.float32)[:, None, None, None]
    names: tuple[str, ...] = ()
    for own, others in ((alive[::2], alive[1::2]), (alive[1::2], alive[::2])):
        own = own[np.isin(own, chosen)]
        measures = _measures(layer, scaled[others])
        if not measures or not len(own):
            continue
        names = tuple(measures)
        p_values[own] = _permuted(scaled[own], list(measures.values()), permutations, rng)
    return LayerNoise(layer.layer, layer.units, chosen, p_values[chosen], names, layer.weights[0].size)


def _permuted(
    weights: np.ndarray, measures: Sequence[Measure], permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """The p-value of each unit (n,): how often its weights, shuffled, give as large a maximum of the statistics."""
    rows = weights.reshape(len(weights), -1)
    values = np.empty((permutations + 1, len(measures), len(rows)))
    for k in range(permutations + 1):
        shuffled = rows if k == 0 else rows[:, rng.permutation(rows.shape[1])]
        values[k] = [measure(shuffled.reshape(weights.shape)) for measure in measures]
    spread = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    largest = standard.max(axis=1)
    return np.asarray((largest >= largest[0] - 1e-9).mean(axis=0))


def _measures(layer: LayerKernels, others: np.ndarray) -> dict[str, Measure]:
    """The statistics that a layer's kernels allow, each (n, inputs, h, w) -> (n,); `others` are the reference half."""
    if layer.spatial:
        found: dict[str, Measure] = {"smoothness": _smoothness}
        if layer.inputs > 1:
            found["spectrum"] = lambda w: (_moments(w) ** 2).sum(axis=(1, 2))
        if len(others) and (layer.inputs > 1 or 2 * len(others) >= FEWEST):
            place = _moments(others).mean(axis=0)
            found["places"] = lambda w: (_moments(w) * place).sum(axis=(1, 2))
        return found
    if 2 * len(others) < FEWEST or layer.inputs < FEWEST:
        return {}
    profile = (others[:, :, 0, 0] ** 2).mean(axis=0)
    directions = _directions(others[:, :, 0, 0])
    return {
        "inputs": lambda w: (w[:, :, 0, 0] ** 2) @ profile,
        "directions": lambda w: ((w[:, :, 0, 0] @ directions) ** 2).sum(axis=1),
    }


def _smoothness(weights: np.ndarray) -> np.ndarray:
    """The sum of products of weights that are neighbors in a row or a column."""
    down = np.einsum("uihw,uihw->u", weights[:, :, 1:], weights[:, :, :-1])
    right = np.einsum("uihw,uihw->u", weights[..., 1:], weights[..., :-1])
    return np.asarray(down + right)


def _moments(weights: np.ndarray) -> np.ndarray:
    """Second moments of each unit's kernels over its inputs, place by place: (units, hw, hw)."""
    flat = weights.reshape(*weights.shape[:2], -1)
    return np.asarray(flat.transpose(0, 2, 1) @ flat)


def _directions(rows: np.ndarray) -> np.ndarray:
    """The right singular vectors beyond the Marchenko-Pastur edge, each times its singular value: (d, at least 1)."""
    n, d = rows.shape
    wide = n < d
    energies, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)  # far quicker than an SVD
    edge = (np.sqrt(n) + np.sqrt(d)) ** 2 * (rows**2).mean()
    chosen = np.flatnonzero(energies > edge) if energies[-1] > edge else np.array([len(energies) - 1])
    if wide:
        return np.asarray(rows.T @ vectors[:, chosen])
    return np.asarray(vectors[:, chosen] * np.sqrt(np.maximum(energies[chosen], 0)))
