"""Averages of the gradient over many points for each image: SmoothGrad, integrated gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.backward import input_gradient
from cnnaudit.attribution.batches import (
    baseline_images,
    cpu_size,
    in_batches,
    require_images,
    rows_in_batches,
    say_where_zero,
)
from cnnaudit.attribution.scores import ClassIndex, Unit, class_indices
from cnnaudit.core.errors import AuditError
from cnnaudit.core.progress import progress

Quadrature = Literal["gauss_legendre", "trapezoid"]


def smooth_grad(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    samples: int = 25,
    noise: float = 0.15,
    generator: torch.Generator | None = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """SmoothGrad: the mean gradient over noisy copies, (1/n) sum_i d score / d image (image + N(0, s^2)).

    The class of each image is that of the image itself, not of its noisy copies. Arguments, shapes and errors as in
    `gradient`, and

    Args:
        samples: n, the noisy copies of each image.
        noise: the standard deviation s as a share of the image's own range (largest minus smallest pixel).
        generator: draws the noise, on the CPU, the same for each image, so that its answer does not depend on the
            others; None: a new one seeded with 0.

    Source: Smilkov et al., SmoothGrad, 2017 (arXiv 1706.03825).

    Example:
        >>> import torch
        >>> from cnnaudit.attribution import gradient
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> torch.allclose(smooth_grad(net, images, 1), gradient(net, images, 1))  # a linear model
        True
    """
    require_images(images)
    images = images.detach()
    if samples < 1 or noise < 0:
        raise AuditError(f"smooth_grad: expected samples >= 1 and noise >= 0, got {samples} and {noise}")
    generator = generator or torch.Generator().manual_seed(0)
    seeds = torch.randint(2**62, (samples,), generator=generator, device=generator.device).tolist()
    flat = images.flatten(1)
    deviation = noise * (flat.amax(1) - flat.amin(1))

    def noisy(owner: torch.Tensor, copy: torch.Tensor) -> torch.Tensor:
        draws = [torch.Generator().manual_seed(seeds[k]) for k in copy.tolist()]
        normal = torch.stack([torch.randn(images.shape[1:], generator=draw) for draw in draws])
        return images[owner] + deviation[owner, None, None, None] * normal.to(images)

    weights = torch.full((samples,), 1 / samples, dtype=torch.float64)
    mean = _weighted(model, images, class_index, layer, unit, noisy, weights, batch_size)
    return say_where_zero(mean, "smooth_grad")


def integrated_gradients(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    baseline: float | torch.Tensor = 0.0,
    steps: int = 50,
    quadrature: Quadrature = "gauss_legendre",
    batch_size: int = 32,
) -> torch.Tensor:
    """Integrated gradients: (image - baseline) times the mean gradient on the straight line between them.

    (x - b) * integral from 0 to 1 of d score / d image (b + a (x - b)) da. The attributions of an image add up to
    score(x) - score(b) (completeness), up to the error of the quadrature. Arguments, shapes and errors as in
    `gradient`; in units of the score; and

    Args:
        baseline: b, the image that shows nothing: a number for every pixel, or a tensor that broadcasts to the images.
        steps: gradients per image.
        quadrature: `gauss_legendre`, or `trapezoid` (both ends of the line belong to its points).

    Source: Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017 (arXiv 1703.01365).

    Example:
        >>> import torch
        >>> from cnnaudit.attribution import gradient
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> torch.allclose(integrated_gradients(net, images, 1), images * gradient(net, images, 1))  # a linear model
        True
    """
    require_images(images)
    images = images.detach()
    start = baseline_images(images, baseline)
    places, weights = _quadrature(quadrature, steps)
    places = places.to(images)

    def between(owner: torch.Tensor, copy: torch.Tensor) -> torch.Tensor:
        return start[owner] + places[copy, None, None, None] * (images[owner] - start[owner])

    mean = _weighted(model, images, class_index, layer, unit, between, weights, batch_size)
    return say_where_zero((images - start) * mean, "integrated_gradients")


def _weighted(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex,
    layer: str | None,
    unit: Unit,
    point: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    weights: torch.Tensor,
    batch_size: int,
) -> torch.Tensor:
    """For each image the weighted sum of the gradients at its points, `point(image numbers, point numbers)`."""
    targets = (
        None if layer is not None else in_batches(lambda b, t: class_indices(model, b, t), model, images, class_index)
    )
    size = cpu_size(images, batch_size)
    together, count = max(1, size // len(weights)), len(weights)

    def one(owner: torch.Tensor, copy: torch.Tensor) -> torch.Tensor:
        target = class_index if targets is None else targets[owner]
        return input_gradient(model, point(owner, copy), target, layer, unit)

    sums = []
    for first in progress(range(0, len(images), together), "gradients"):
        owner = torch.arange(first, min(first + together, len(images))).repeat_interleave(count)
        copy = torch.arange(count).repeat(len(owner) // count)
        found = rows_in_batches(one, model, owner, copy, batch_size=size)
        # summed in at least single precision
        wide = found.view(-1, count, *images.shape[1:]).to(torch.promote_types(found.dtype, torch.float32))
        sums.append(torch.tensordot(weights.to(wide), wide, ([0], [1])).to(images.dtype))
    return torch.cat(sums)


def _quadrature(rule: str, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places in [0, 1] and weights that add up to 1, float64."""
    if rule == "gauss_legendre" and steps >= 1:
        places, weights = np.polynomial.legendre.leggauss(steps)
        return torch.from_numpy((places + 1) / 2), torch.from_numpy(weights / 2)
    if rule == "trapezoid" and steps >= 2:
        ends = np.r_[0.5, np.ones(steps - 2), 0.5] / (steps - 1)
        return torch.linspace(0, 1, steps, dtype=torch.float64), torch.from_numpy(ends)
    raise AuditError(
        f"integrated_gradients: expected gauss_legendre with steps >= 1 or trapezoid with >= 2, got {rule} with {steps}"
    )
