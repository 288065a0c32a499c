"""Is the image that drives a unit to its maximum above every real image, and does it stay so in a file, and moved?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.activation.layers import spatial_layers
from cnnaudit.checks.fidelity._activations import GRAY, heights, highest
from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.core.statistics import derive_seed, generator
from cnnaudit.optimization import LOGITS, Fourier, Jitter, Objective, Pixels, Recipe, maximize

Shape = tuple[int, int, int]

SIDE = 96  # pixels of an optimized image, at most
SMALL = 64
SHIFT = 2
_REACHED = 0.05


@dataclass(frozen=True)
class Moves(Jitter):
    """Shifts by whole pixels with the edges repeated: what the optima must survive is what they are made to survive.

    Images of 28 pixels are not turned or scaled, and no gray comes in at their edges. However small the part of an
    image that a unit sees, it must survive the whole shift.
    """

    def __call__(self, images: torch.Tensor, generator: torch.Generator, field: int | None = None) -> torch.Tensor:
        most = int(self.pixels)
        top, left = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
        return moved(images, top, left)


_MORDVINTSEV = "Mordvintsev et al. 2015: jitter"
PIXELS = Recipe("pixels", _MORDVINTSEV, Pixels(), rate=0.03, steps=256, start=0.2, jitter=Moves(pixels=SHIFT))
FOURIER = Recipe("fourier", _MORDVINTSEV, Fourier(), rate=0.1, steps=32, start=0.05, jitter=Moves(pixels=SHIFT))


def recipe_for(shape: Shape) -> Recipe:
    """Pixels where images are small: they reach the plain black that a unit may want; Fourier, quicker, for others."""
    return PIXELS if max(shape[1:]) <= SMALL else FOURIER


@dataclass(frozen=True, eq=False)
class Optima:
    """Optimized images of some units of a layer, from several starts, and how high they are beside real images.

    Heights are a unit's largest value anywhere in its map.

    Attributes:
        units: (n,), the units that were asked, of `population`.
        images: (starts, n, C, h, w).
        height, coded, moved: (starts, n), of the images as they are, rounded to 8 bits as in a PNG, and of those after
            the worst shift of two pixels.
        gray, typical, best: (n,), of a gray image, and the median and the largest of the real images.
        best_image: (n,), which of the real images that is.
        dead: bool (n,), units that nothing moved.
        rising: whether no running best ever fell.
    """

    layer: str
    population: int
    units: np.ndarray
    images: torch.Tensor
    height: np.ndarray
    coded: np.ndarray
    moved: np.ndarray
    gray: np.ndarray
    typical: np.ndarray
    best: np.ndarray
    best_image: np.ndarray
    dead: np.ndarray
    rising: bool

    @property
    def optimum(self) -> np.ndarray:
        """The start that led to each unit's optimum, (n,): the highest when saved and moved."""
        result: np.ndarray = self.moved.argmax(axis=0)
        return result

    @property
    def reached(self) -> np.ndarray:
        """Starts whose image, saved and moved, is as high as every real image: bool (starts, n).

        As high: up to 5 % of the way from gray to the best image, which may itself be an optimum (plain black).
        """
        result: np.ndarray = self.moved >= self.best - _REACHED * np.abs(self.best - self.gray)
        return result

    @property
    def likeness(self) -> float | None:
        """The median correlation of a unit's images from the first two starts; None where there is one start."""
        if len(self.images) < 2:
            return None
        one, other = (i.flatten(1).double() - i.flatten(1).double().mean(1, keepdim=True) for i in self.images[:2])
        correlations = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)).clamp_min(1e-12)
        return round(float(np.median(correlations.numpy())), 2)

    def of_optimum(self, heights: np.ndarray) -> np.ndarray:
        """The heights (starts, n) at each unit's optimum, (n,)."""
        result: np.ndarray = heights[self.optimum, np.arange(len(self.units))]
        return result

    def relative(self, heights: np.ndarray) -> np.ndarray:
        """Heights where 0 is the typical real image and 1 the best one; NaN for units that answer to none."""
        span = self.best - self.typical
        result: np.ndarray = np.divide(heights - self.typical, span, out=np.full(len(span), np.nan), where=span > 0)
        return result


def layers_of(model: nn.Module, image: torch.Tensor) -> tuple[str, list[str]]:
    """The first convolution; and the middle and the last one behind it, or the logits where there are fewer than two.

    Those deeper ones are read after their normalization. Convolutions of a single position, of attention, do not count.

    Args:
        image: (1, C, H, W).

    Raises:
        UnsupportedError: the model has no 2-d convolution.
    """
    found = spatial_layers(model, image)
    convolutions = [(call, after) for call, after in zip(found, [*found[1:], found[-1]]) if call.kind == "conv2d"]
    if not convolutions:
        raise UnsupportedError("the model has no 2-d convolution")
    deeper = [
        after.name if after.kind == "batch_norm" else call.name
        for call, after in convolutions[1:]
        if max(call.output_shape[2:]) > 1
    ]
    first = convolutions[0][0].name
    return first, [deeper[(len(deeper) - 1) // 2], deeper[-1]] if len(deeper) > 1 else [*deeper, LOGITS]


def size_of(model: nn.Module, shape: Shape, layers: Sequence[str], most: int = SIDE) -> Shape:
    """Smaller images that the model takes up to those layers: sides of at most `most`, 96 or 128; else the shape."""
    for side in dict.fromkeys((most, SIDE, 128)):  # each once
        small = shape[0], min(shape[1], side), min(shape[2], side)
        try:
            for layer in layers:
                heights(model, torch.full((1, *small), GRAY), layer)
            return small
        except (AuditError, RuntimeError, ValueError):
            continue
    return shape


def optima(
    model: nn.Module, real: torch.Tensor, layer: str, shape: Shape, units: int, *, starts: int = 2, seed: int = 0
) -> Optima:
    """Optimize images for a random sample of a layer's units and compare them with real ones.

    Ascents of each unit `anywhere` in its map, by `recipe_for(shape)`: pixels stay in [0, 1], and the image is moved by
    up to two pixels in every step.

    Args:
        real: (N, C, H, W), on any device.
        shape: (C, h, w) of the optimized images.
        units: how many units are asked, at most.
        starts: ascents of each unit, from different noise.
    """
    seen = heights(model, real, layer)
    population = seen.shape[1]
    asked = np.sort(generator(seed, "units", layer).permutation(population)[:units])
    goal, seen = anywhere(layer, asked), seen[:, asked]
    found = [maximize(model, goal, shape, recipe_for(shape), seed=derive_seed(seed, k)) for k in range(starts)]
    rows = np.arange(len(asked))

    def read(images: torch.Tensor) -> np.ndarray:
        result: np.ndarray = heights(model, images, layer)[rows, asked]
        return result

    saved = [eight_bit(one.images) for one in found]
    places = (-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT)
    return Optima(
        layer,
        population,
        asked,
        torch.stack([one.images for one in found]).cpu(),
        np.stack([read(one.images) for one in found]),
        np.stack([read(images) for images in saved]),
        np.stack([np.min([read(moved(images, *place)) for place in places], axis=0) for images in saved]),
        heights(model, torch.full((1, *shape), GRAY), layer)[0, asked],
        np.median(seen, axis=0),
        seen.max(axis=0),
        seen.argmax(axis=0),
        np.array([outcome == "dead" for outcome in found[0].outcome]),
        not any((np.diff(one.history, axis=0) < 0).any() for one in found),
    )


def anywhere(layer: str, units: np.ndarray) -> Objective:
    """A unit's largest value anywhere in its map: as heights are read, so that its pattern may move with the image."""

    def measure(values: Mapping[str, torch.Tensor], images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        chosen = torch.from_numpy(units).to(rows.device)[rows]
        return highest(values[layer]).gather(1, chosen[:, None])[:, 0]

    return Objective(tuple(f"{layer}[{number}]" for number in units), (layer,), measure)


def eight_bit(images: torch.Tensor) -> torch.Tensor:
    """Images as an 8-bit file holds them; a PNG loses nothing else."""
    return (images.clamp(0, 1) * 255).round() / 255


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The images moved by so many pixels, their edges repeated."""
    height, width = images.shape[2:]
    most = max(abs(down), abs(right))
    wide = functional.pad(images, (most, most, most, most), mode="replicate")
    return wide[:, :, most - down : most - down + height, most - right : most - right + width]
