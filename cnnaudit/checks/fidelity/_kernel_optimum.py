"""Optima of the first layer beside the kernels that they must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.fidelity._activations import GRAY, answers
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.receptive_field import receptive_field
from cnnaudit.optimization import Pixels, Recipe, maximize, unit

Shape = tuple[int, int, int]

_LINEAR = 1e-2  # room for TF32

BALL = Recipe(
    "ball",
    "Erhan et al. 2009: a norm bound",
    Pixels(box=False, norm=1.0, center=GRAY),
    rule="normalized",
    rate=4.0,
    steps=8,
    measured_every=8,
)


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
    gray = torch.full((1, *shape), GRAY)
    rows, columns = answers(model, gray, layer, lambda maps: maps).shape[2:]
    position = rows // 2, columns // 2
    box = receptive_field(model, layer, shape, position)
    (height, width), pixels = box.size, shape[0] * box.size[0] * box.size[1]
    lit = gray.repeat(pixels, 1, 1, 1)
    window = lit[:, :, box.top : box.bottom, box.left : box.right]
    window += GRAY * torch.eye(pixels).view(pixels, shape[0], height, width)
    other = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    seen = answers(model, torch.cat([gray, lit, other]), layer, lambda maps: maps[:, :, *position])
    slopes = (seen[1 : 1 + pixels] - seen[0]).T / GRAY
    parts = (other - GRAY)[:, :, box.top : box.bottom, box.left : box.right].flatten(1)
    error = seen[1 + pixels :] - seen[0] - parts @ slopes.T
    if float(error.abs().max()) > _LINEAR * float(parts.norm(dim=1).max() * slopes.norm(dim=1).max()):
        raise UnsupportedError(
            f"what reaches the first convolution, {layer}, is no linear function of the pixels, so that its optimum "
            "has no closed form"
        )
    return slopes.view(-1, shape[0], height, width), (box.top, box.left, height, width)
