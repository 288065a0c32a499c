"""Attributions by derivatives of the score: gradient, gradient times input, SmoothGrad, integrated gradients.

On a CPU the pass is laid out in `torch.channels_last`, which is faster. It follows the caller's `torch.autocast`: in
bfloat16 it takes about half the time, with an error of a few percent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from cnnaudit.attribution.batches import cpu_size, in_batches, require_images, rows_in_batches, say_where_zero
from cnnaudit.attribution.scores import ClassIndex, Unit, activations, class_indices, scores
from cnnaudit.core.errors import AuditError, DataError, UnsupportedError
from cnnaudit.interventions.map_layout import map_reader

if TYPE_CHECKING:
    import torch
    from torch import nn

Rule = Literal["gradient", "deconvnet", "guided", "interaction"]
Quadrature = Literal["gauss_legendre", "trapezoid"]


def gradient(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The derivative of the score with respect to each pixel, d score / d image.

    Args:
        images: (N, C, H, W) floating-point, on the device of the model.
        class_index, layer, unit: what is explained, see `scores.scores`.

    Returns:
        (N, C, H, W), in units of the score per unit of pixel, positive or negative.

    Raises:
        AuditError: a class or unit out of range.
        DataError: the images are none, or hold NaN.
        LayerError: the model has no such layer.
        ModelError: the model raises on the images or answers anything but finite logits.
        UnsupportedError: the score is not differentiable with respect to the images.

    Source: Simonyan et al., Deep inside convolutional networks, 2013 (arXiv 1312.6034).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> gradient(net, torch.rand(2, 1, 2, 2), 1).flatten(1)[0].equal(net[1].weight[1])
        True
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return input_gradient(model, batch, target, layer, unit)

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "gradient")


def gradient_times_input(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The gradient times the pixel, image * d score / d image: for a linear model what each pixel adds to the score.

    Arguments, shapes and errors as in `gradient`; in units of the score. A black pixel (0) never gets anything.

    Source: Shrikumar et al., Not just a black box, 2016 (arXiv 1605.01713).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3, bias=False))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> torch.allclose(gradient_times_input(net, images, 1).sum((1, 2, 3)), net(images)[:, 1])
        True
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return batch * input_gradient(model, batch, target, layer, unit)

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "gradient_times_input")


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
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images = torch.rand(2, 1, 2, 2)
        >>> torch.allclose(smooth_grad(net, images, 1), gradient(net, images, 1))  # a linear model
        True
    """
    import torch

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


def input_gradient(
    model: nn.Module,
    batch: torch.Tensor,
    class_index: ClassIndex = None,
    layer: str | None = None,
    unit: Unit = None,
    rule: Rule = "gradient",
) -> torch.Tensor:
    """The gradient of one batch; deconvnet and guided begin at a layer with the unit's own activations."""
    import torch

    layout = _layout(model, batch, layer)
    maps = None if layer is None else map_reader(model, batch, layer)
    with differentiable(model, rule) as observed:
        pixels = batch.detach().clone().requires_grad_()
        seen = pixels.contiguous(memory_format=layout) if observed and layout is not torch.preserve_format else pixels
        if layer is not None and rule != "gradient":
            score = activations(model, seen, layer, unit, class_index, maps)
            start = score.detach()
        else:
            score = scores(model, seen, class_index, layer, unit, maps)
            start = torch.ones_like(score)
        return slope(score, pixels, start)


def slope(score: torch.Tensor, pixels: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The gradient of the score, begun with `start`, with respect to the pixels; zero where it does not depend on them.

    Raises:
        UnsupportedError: no differentiable calls lead to the score.
    """
    import torch

    if not score.requires_grad:
        raise UnsupportedError(
            "the score does not depend on the images by differentiable calls (an ONNX model, or a forward pass "
            "under no_grad or through detach or argmax); occlusion and LIME need no gradient"
        )
    (found,) = torch.autograd.grad(score, pixels, start, allow_unused=True)
    return torch.zeros_like(pixels) if found is None else found


@contextmanager
def differentiable(model: nn.Module, rule: Rule = "gradient") -> Iterator[bool]:
    """Gradients of the images enabled, those of the weights left out, ReLUs by that rule; the model is not touched.

    Yields whether the model's calls are observed, without which autograd alone gives the gradient.
    """
    import torch

    from cnnaudit.interventions import relu_rule
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.interventions.module_paths import refuse_hidden
    from cnnaudit.interventions.parameters import ConstantParameters

    with evaluating(model), torch.enable_grad():  # also the backward pass, which may run parts of the model again
        if rule == "gradient":
            try:
                refuse_hidden(model.modules())
            except UnsupportedError:  # autograd alone is right where the model hides its calls
                yield False
                return
        with relu_rule(model, rule), ConstantParameters():
            yield True


def _layout(model: nn.Module, batch: torch.Tensor, layer: str | None) -> torch.memory_format:
    """The memory format in which convolutions of that batch are fastest, if the model answers the same in it."""
    import torch

    from cnnaudit.interventions.memory_format import bears_channels_last

    large = batch.shape[1] > 1 and batch.shape[-2] * batch.shape[-1] >= 64 * 64
    worthwhile = batch.device.type == "cpu" and batch.dtype in (torch.float32, torch.bfloat16) and large
    if not worthwhile:
        return torch.preserve_format
    last = bears_channels_last(model, batch, layer=layer, views=True)
    return torch.channels_last if last else torch.contiguous_format


def baseline_images(images: torch.Tensor, baseline: float | torch.Tensor) -> torch.Tensor:
    """The baseline of each image, in the shape of the images."""
    import torch

    value = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    try:
        value = value.expand_as(images)
    except RuntimeError:
        shape, given = tuple(images.shape), tuple(value.shape)
        raise DataError(f"baseline: expected a number or a tensor that broadcasts to {shape}, got {given}") from None
    if not torch.isfinite(value).all():
        raise DataError("baseline: NaN or infinity in it")
    return value


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
    import torch

    from cnnaudit.core.progress import progress

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
    import numpy as np
    import torch

    if rule == "gauss_legendre" and steps >= 1:
        places, weights = np.polynomial.legendre.leggauss(steps)
        return torch.from_numpy((places + 1) / 2), torch.from_numpy(weights / 2)
    if rule == "trapezoid" and steps >= 2:
        ends = np.r_[0.5, np.ones(steps - 2), 0.5] / (steps - 1)
        return torch.linspace(0, 1, steps, dtype=torch.float64), torch.from_numpy(ends)
    raise AuditError(
        f"integrated_gradients: expected gauss_legendre with steps >= 1 or trapezoid with >= 2, got {rule} with {steps}"
    )
