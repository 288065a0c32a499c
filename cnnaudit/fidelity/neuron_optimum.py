"""Is the image that drives a unit to its maximum what it looks for? Against its kernel, and against real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.activation.layers import spatial_layers
from cnnaudit.activation.receptive_field import receptive_field
from cnnaudit.errors import AuditError, UnsupportedError
from cnnaudit.interventions import run_until
from cnnaudit.interventions.images import cpu_size
from cnnaudit.interventions.modes import evaluating
from cnnaudit.optimization import LOGITS, Fourier, Jitter, Pixels, Recipe, maximize, unit
from cnnaudit.statistics import generator

Shape = tuple[int, int, int]

SIDE = 96  # pixels of an optimized image, at most
SMALL = 64
SHIFT = 2
GRAY = 0.5
_LINEAR = 1e-2  # room for TF32
_REACHED = 0.01


@dataclass(frozen=True)
class Moves(Jitter):
    """Shifts by whole pixels with the edges repeated: what the optima must survive is what they are made to survive.

    Images of 28 pixels are not turned or scaled, and no gray comes in at their edges.
    """

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        most = int(self.pixels)
        top, left = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
        return moved(images, top, left)


BALL = Recipe(
    "ball",
    "Erhan et al. 2009: a norm bound",
    Pixels(box=False, norm=1.0, center=GRAY),
    rule="normalized",
    rate=4.0,
    steps=8,
    measured_every=8,
)
_MORDVINTSEV = "Mordvintsev et al. 2015: jitter"
PIXELS = Recipe("pixels", _MORDVINTSEV, Pixels(), rate=0.03, steps=256, start=0.2, jitter=Moves(pixels=SHIFT))
FOURIER = Recipe("fourier", _MORDVINTSEV, Fourier(), rate=0.1, steps=48, start=0.05, jitter=Moves(pixels=SHIFT))


def recipe_for(shape: Shape) -> Recipe:
    """Pixels where images are small: they reach the plain black that a unit may want; Fourier, quicker, for others."""
    return PIXELS if max(shape[1:]) <= SMALL else FOURIER


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """Optima of one position of the first convolution, under a norm bound and no box.

    Attributes:
        units: the filters that were asked, (n,), of `filters`.
        kernels, optima: (n, C, h, w), what the position's answer weighs each pixel with, and the optimum less gray.
        cosines: (n,), of the optimum, all its pixels, with the kernel; NaN for a filter of zeros.
    """

    layer: str
    filters: int
    units: np.ndarray
    kernels: torch.Tensor
    optima: torch.Tensor
    cosines: np.ndarray


def first_layer(model: nn.Module, layer: str, shape: Shape, units: int, rng: np.random.Generator) -> FirstLayer:
    """The optimum of the position in the middle of each filter of the first convolution, beside its kernel.

    Before the ReLU a position answers b + <w, I - 1/2>, which is largest in |I - 1/2| <= 1 at w / |w|. That w is
    measured forward, without any gradient: one pixel after another is lit. It is the kernel itself, seen through
    whatever normalization the model gives its pixels.

    Args:
        layer: the first convolution.
        shape: (C, H, W) of the images.
        units: how many filters are asked, at most.

    Raises:
        UnsupportedError: the way from the pixels to its answer is not linear.
    """
    kernels, (top, left, height, width) = _kernels(model, layer, shape)
    asked = np.sort(rng.permutation(len(kernels))[:units])
    found = maximize(model, unit(layer, asked.tolist()), shape, BALL)
    change = found.images.cpu() - GRAY
    patches = change[:, :, top : top + height, left : left + width]
    chosen = kernels[torch.from_numpy(asked)]
    lengths = change.flatten(1).norm(dim=1) * chosen.flatten(1).norm(dim=1)
    cosines = (patches * chosen).flatten(1).sum(1) / lengths
    return FirstLayer(layer, len(kernels), asked, chosen, patches, cosines.double().numpy())


def _kernels(model: nn.Module, layer: str, shape: Shape) -> tuple[torch.Tensor, tuple[int, int, int, int]]:
    """The weight (filters, C, h, w) of each pixel in the answer of the middle position, and where that window lies."""
    with torch.no_grad(), evaluating(model):
        gray = torch.full((1, *shape), GRAY)
        rows, columns = _answers(model, gray, layer, _whole).shape[2:]
        position = rows // 2, columns // 2
        box = receptive_field(model, layer, shape, position)
        (height, width), pixels = box.size, shape[0] * box.size[0] * box.size[1]
        lit = gray.repeat(pixels, 1, 1, 1)
        window = lit[:, :, box.top : box.bottom, box.left : box.right]
        window += GRAY * torch.eye(pixels).view(pixels, shape[0], height, width)
        other = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
        seen = _answers(model, torch.cat([gray, lit, other]), layer, lambda maps: maps[:, :, *position])
    slopes = (seen[1 : 1 + pixels] - seen[0]).T / GRAY
    parts = (other - GRAY)[:, :, box.top : box.bottom, box.left : box.right].flatten(1)
    error = seen[1 + pixels :] - seen[0] - parts @ slopes.T
    if float(error.abs().max()) > _LINEAR * float(parts.norm(dim=1).max() * slopes.norm(dim=1).max()):
        raise UnsupportedError(
            f"what reaches the first convolution, {layer}, is no linear function of the pixels, so that its optimum "
            "has no closed form"
        )
    return slopes.view(-1, shape[0], height, width), (box.top, box.left, height, width)


@dataclass(frozen=True, eq=False)
class Optima:
    """Optimized images of some units of a layer, and how high they are beside real images.

    Heights are (n,): a unit's largest value anywhere in its map.

    Attributes:
        units: the units that were asked, of `population`.
        images, others: (n, C, h, w), the optima from two seeds.
        height, again: of these optima.
        coded, moved: of the first one after rounding to 8 bits, and of that after the worst shift of two pixels.
        gray, typical, best: of a gray image, and the median and the largest of the real images.
        best_image: (n,), which of the real images that is.
        dead: bool (n,), units that nothing moved.
        rising: whether the running best never fell.
    """

    layer: str
    population: int
    units: np.ndarray
    images: torch.Tensor
    others: torch.Tensor
    height: np.ndarray
    again: np.ndarray
    coded: np.ndarray
    moved: np.ndarray
    gray: np.ndarray
    typical: np.ndarray
    best: np.ndarray
    best_image: np.ndarray
    dead: np.ndarray
    rising: bool

    @property
    def holds(self) -> np.ndarray:
        """Units whose optima, saved and moved and from another seed, are as high as every real image: bool (n,).

        As high: up to 1 % of the way from gray to the best image, which may itself be an optimum (plain black).
        """
        lowest = np.minimum(self.moved, self.again)
        result: np.ndarray = lowest >= self.best - _REACHED * np.abs(self.best - self.gray)
        return result

    @property
    def likeness(self) -> np.ndarray:
        """The correlation of the optima from the two seeds, (n,); 0 where one of them is plain."""
        one, other = (
            i.flatten(1).double() - i.flatten(1).double().mean(1, keepdim=True) for i in (self.images, self.others)
        )
        result: np.ndarray = ((one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)).clamp_min(1e-12)).numpy()
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


def size_of(model: nn.Module, shape: Shape, layers: Sequence[str]) -> Shape:
    """Smaller images that the model takes up to those layers: sides of at most `SIDE`, or the shape itself."""
    small = shape[0], min(shape[1], SIDE), min(shape[2], SIDE)
    try:
        with torch.no_grad(), evaluating(model):
            for layer in layers:
                _answers(model, torch.full((1, *small), GRAY), layer, _whole)
    except (AuditError, RuntimeError, ValueError):
        return shape
    return small


def optima(model: nn.Module, real: torch.Tensor, layer: str, shape: Shape, units: int, *, seed: int = 0) -> Optima:
    """Optimize images for a random sample of a layer's units and compare them with real ones.

    Two ascents of each unit in the middle of its map, by `recipe_for(shape)`: pixels stay in [0, 1], and the image is
    moved by up to two pixels in every step.

    Args:
        real: (N, C, H, W), on any device.
        shape: (C, h, w) of the optimized images.
        units: how many units are asked, at most.
    """
    answers = heights(model, real, layer)
    population = answers.shape[1]
    asked = np.sort(generator(seed, "units", layer).permutation(population)[:units])
    chosen = answers[:, asked]
    goal = unit(layer, asked.tolist())
    first, second = (maximize(model, goal, shape, recipe_for(shape), seed=seed + k) for k in (0, 1))
    saved = eight_bit(first.images)
    places = (-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT)
    rows = np.arange(len(asked))
    height, again, coded, *shifted = (
        heights(model, images, layer)[rows, asked]
        for images in (first.images, second.images, saved, *(moved(saved, *place) for place in places))
    )
    return Optima(
        layer,
        population,
        asked,
        first.images.cpu(),
        second.images.cpu(),
        height,
        again,
        coded,
        np.min(shifted, axis=0),
        heights(model, torch.full((1, *shape), GRAY), layer)[0, asked],
        np.median(chosen, axis=0),
        chosen.max(axis=0),
        chosen.argmax(axis=0),
        np.array([outcome == "dead" for outcome in first.outcome]),
        not (np.diff(first.history, axis=0) < 0).any(),
    )


def heights(model: nn.Module, images: torch.Tensor, layer: str) -> np.ndarray:
    """Each unit's largest value anywhere in its map, (N, units)."""
    with torch.no_grad(), evaluating(model):
        result: np.ndarray = _answers(model, images, layer, _highest).double().numpy()
    return result


def eight_bit(images: torch.Tensor) -> torch.Tensor:
    """Images as an 8-bit file holds them; a PNG loses nothing else."""
    return (images.clamp(0, 1) * 255).round() / 255


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The images moved by so many pixels, their edges repeated."""
    height, width = images.shape[2:]
    most = max(abs(down), abs(right))
    wide = functional.pad(images, (most, most, most, most), mode="replicate")
    return wide[:, :, most - down : most - down + height, most - right : most - right + width]


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _whole(values: torch.Tensor) -> torch.Tensor:
    return values


def _highest(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(2).amax(2) if values.ndim == 4 else values


def _answers(
    model: nn.Module, images: torch.Tensor, layer: str, kept: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """What is kept of a layer's answers to the images, batch by batch, on the CPU."""
    device = device_of(model)
    answers = []
    for batch in images.split(cpu_size(images.cpu(), 64)):  # type: ignore[no-untyped-call]
        given = batch.to(device)
        answers.append(kept(model(given) if layer == LOGITS else run_until(model, given, layer)).float().cpu())
    return torch.cat(answers)
