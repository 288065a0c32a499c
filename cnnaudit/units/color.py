"""Units that are blind to color: read from their kernels, from their optimized images, and from their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.units.hue import TURNS, require_color, rotate_hue
from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS, OPTIMIZED, RESPONSE = 0.3, 0.2, 0.1  # below them a unit is called color-blind, by each reading
PEAKS = 3.0  # Garriga's threshold in algorithm 3, levels of 255; the text beside it says 2
STEADY = 1e-9  # of the mean square: a variance below it is rounding
_LEVELS = 256


@dataclass(frozen=True, eq=False)
class LayerColor:
    """How much each unit of a layer has to do with color: 0 nothing.

    Attributes:
        layer: as in `interventions.calls`.
        units: (n,), the units that were read.
        values: (n,), NaN where a unit has nothing to read (it never moves, or its optimum does not rise).
        population: how many units the layer has.
    """

    layer: str
    units: np.ndarray
    values: np.ndarray
    population: int


@dataclass(frozen=True)
class Agreement:
    """How far two readings of the same units agree.

    Attributes:
        units: how many units both could read.
        correlation: Spearman's, of their values; None where one of them is constant.
        kappa: Cohen's, of who is called blind; None where both call all of them the same.
    """

    units: int
    correlation: float | None
    kappa: float | None


def kernel_color(model: nn.Module, image: torch.Tensor) -> list[LayerColor]:
    """The share of each kernel's energy outside the gray axis, for the convolutions that read the image itself.

    With w (3, h, w) and m its mean over the three channels, |w - m|^2 / |w|^2: 0 where all channels have the same
    kernel, 1 where they cancel out in gray images. A kernel of independent random numbers has 2/3 on average; its
    distribution is Beta(h w, h w / 2), so that .3 % of them lie below .3 where they are 3x3 (of 1x1 kernels 16 %).

    Args:
        image: float (1, 3, H, W).

    Raises:
        UnsupportedError: gray images, or no convolution reads the image's three channels together.
    """
    from cnnaudit.interventions import calls
    from cnnaudit.interventions.inputs import all_weights
    from cnnaudit.interventions.modes import evaluating

    _needs_color(image)
    batch = image[:1].expand(getattr(model, "batch", None) or 1, *image.shape[1:])
    with evaluating(model):
        weights = all_weights(model, batch)
        observed = [call for call in calls(model, batch) if call.kind == "conv2d" and call.name in weights]
    before: set[tuple[int, ...]] = set()
    found = []
    for call in observed:
        weight = weights[call.name].detach().double().cpu().numpy()
        if call.input_shape[1:] == tuple(image.shape[1:]) and weight.shape[1] == 3 and call.input_shape not in before:
            found.append(LayerColor(call.name, np.arange(len(weight)), _outside_gray(weight), len(weight)))
        before.add(call.output_shape)
    if not found:
        raise UnsupportedError("no convolution reads the image's three channels together")
    return found


def hue_moments(model: nn.Module, images: torch.Tensor, *, batch_size: int = 16) -> list[tuple[str, np.ndarray]]:
    """Per layer what each image adds to `hue_sensitivity`, float64 (N, 3, units), all layers in one pass.

    With a the answers of a unit over the positions of an image and a' those to the same image with its hue turned:
    mean a, mean a^2, and mean (a' - a)^2 over three angles.

    Args and errors: as `hue_sensitivity`.
    """
    import torch

    from cnnaudit.units.responses import measure, outlets

    _needs_color(images)
    chosen = outlets(model, images)

    def hues(batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([batch, *(rotate_hue(batch, degrees) for degrees in TURNS)])

    def moments(answers: torch.Tensor) -> torch.Tensor:
        plain = answers[0]
        changed = sum((turned - plain).square().mean(2) for turned in answers[1:]) / len(TURNS)
        return torch.stack([plain.mean(2), plain.square().mean(2), changed], dim=1).double()

    found = measure(model, images, chosen, moments, versions=hues, batch_size=batch_size)
    return [(outlet.layer, values) for outlet, values in zip(chosen, found, strict=True)]


def hue_sensitivity(model: nn.Module, images: torch.Tensor, *, batch_size: int = 16) -> list[LayerColor]:
    """How much the answers of every unit change when the hue of images is turned, for all layers in one pass.

    With a the answers of a unit over all positions of all images and a' those to the same images with their hue turned
    and their luma kept (`rotate_hue` by 90, 180 and 270 degrees), mean (a' - a)^2 / (2 var a), averaged over the three
    angles: 0 where hue does not matter, 1 where an image of another hue might as well be another image.

    Args:
        images: float (N, 3, H, W) in [0, 1].
        batch_size: images at a time, each in four hues.

    Raises:
        UnsupportedError: gray images, a model bound to its batch size, or one that hides its calls.
    """
    return [
        LayerColor(layer, np.arange(values.shape[2]), relative_change(values.mean(axis=0)), values.shape[2])
        for layer, values in hue_moments(model, images, batch_size=batch_size)
    ]


def relative_change(moments: np.ndarray) -> np.ndarray:
    """mean (a' - a)^2 / (2 var a) from the mean moments (3, units) of `hue_moments`; NaN where a is one number."""
    mean, square, change = moments
    variance = square - mean**2
    steady = variance <= STEADY * square
    return np.asarray(np.divide(change, 2 * variance, out=np.full(len(mean), np.nan), where=~steady))


def hue_loss(model: nn.Module, layer: str, units: Sequence[int], optima: torch.Tensor) -> LayerColor:
    """What an optimized image loses of its height when its hue is turned.

    With h the unit's mean answer over its map, 1 - (h(turned) - h(gray)) / (h(optimum) - h(gray)), averaged over 90,
    180 and 270 degrees: 0 where the hue of the optimum does not matter, 4/3 where all its height comes from its hue.

    Args:
        layer: whose answers the images maximize.
        units: of the images.
        optima: float (n, 3, H, W) in [0, 1], the optimized image of each unit.

    Raises:
        DataError: the images are not one per unit, or gray.
    """
    import torch

    from cnnaudit.interventions import run_until
    from cnnaudit.interventions.modes import evaluating

    require_color(optima)
    if len(optima) != len(units):
        raise DataError(f"optima: expected one image for each of {len(units)} units, got {len(optima)}")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    rows = torch.tensor(list(units))

    def answers(images: torch.Tensor) -> torch.Tensor:
        return run_until(model, images.to(device), layer).flatten(2).mean(2).double().cpu()

    def heights(images: torch.Tensor) -> np.ndarray:
        parts = [answers(part) for part in images.split(16)]  # type: ignore[no-untyped-call]
        result: np.ndarray = torch.cat(parts).gather(1, rows[:, None])[:, 0].numpy()
        return result

    with torch.no_grad(), evaluating(model):
        gray_answers = answers(torch.full_like(optima[:1], 0.5))
        top, gray = heights(optima), gray_answers[0, rows].numpy()
        turned = np.mean([heights(rotate_hue(optima, degrees)) for degrees in TURNS], axis=0)
    rise = top - gray
    lost = np.divide(top - turned, rise, out=np.full(len(rise), np.nan), where=rise > 0)
    return LayerColor(layer, rows.numpy(), lost, int(gray_answers.shape[1]))


def peak_spread(images: torch.Tensor) -> np.ndarray:
    """The standard deviation of the three channels' most frequent levels (0 to 255) in each image, (N,).

    Garriga's reading of optimized images: one whose spread is at most 3 (algorithm 3; the text says 2) is called
    color-blind. It sees the background that an optimum began with more than the optimum: see `hue_loss`.

    Args:
        images: float (N, 3, H, W) in [0, 1].

    Raises:
        DataError: the images have no three channels.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, section 4.2.1.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.2, 0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        >>> float(peak_spread(image)[0].round(1))
        24.0
    """
    require_color(images)
    levels = (images.clamp(0, 1) * (_LEVELS - 1)).round().long().flatten(2).cpu().numpy()
    peaks = [[np.bincount(channel, minlength=_LEVELS).argmax() for channel in image] for image in levels]
    return np.asarray(np.std(peaks, axis=1), dtype=float)


def color_blind(
    readings: Sequence[LayerColor],
    threshold: float,
    *,
    null: Sequence[LayerColor] | None = None,
    null_name: str = "untrained twin",
    confidence: float = 0.95,
) -> list[LayerShare]:
    """Per layer the units whose color is below a threshold.

    Args:
        readings: of `kernel_color`, `hue_loss` or `hue_sensitivity`.
        threshold: `WEIGHTS`, `OPTIMIZED` or `RESPONSE` of this module, or another.
        null: the same readings of an untrained twin.
        confidence: of the exact binomial intervals over units.

    Example:
        >>> import torch
        >>> net = torch.nn.Conv2d(3, 2, 1, bias=False).requires_grad_(False)
        >>> _ = net.weight.copy_(torch.tensor([[1.0, 1, 1], [1, -1, 0]]).view(2, 3, 1, 1))
        >>> [row.found for row in color_blind(kernel_color(net, torch.rand(1, 3, 4, 4)), WEIGHTS)]
        [(0,)]
    """
    beside = [None] * len(readings) if null is None else list(null)
    return [
        layer_share(
            reading.layer,
            reading.population,
            reading.units[reading.values < threshold],
            confidence=confidence,
            null=None if other is None else float((other.values < threshold).mean()),
            null_name="" if other is None else null_name,
        )
        for reading, other in zip(readings, beside, strict=True)
    ]


def color_agreement(one: LayerColor, other: LayerColor, thresholds: tuple[float, float]) -> Agreement:
    """How far two readings of a layer's units agree: in rank, and in who is called blind.

    Args:
        thresholds: of the one and of the other.
    """
    from scipy.stats import spearmanr

    _, here, there = np.intersect1d(one.units, other.units, return_indices=True)
    a, b = one.values[here], other.values[there]
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    constant = len(a) < 3 or min(np.ptp(a), np.ptp(b)) < 1e-6
    blind, also = a < thresholds[0], b < thresholds[1]
    chance = blind.mean() * also.mean() + (1 - blind.mean()) * (1 - also.mean()) if len(a) else 1.0
    return Agreement(
        len(a),
        None if constant else float(spearmanr(a, b).statistic),
        None if chance == 1 else float(((blind == also).mean() - chance) / (1 - chance)),
    )


def _outside_gray(weight: np.ndarray) -> np.ndarray:
    """The share of each kernel's energy that its mean over the channels leaves; NaN for a kernel of zeros."""
    energy = (weight**2).sum(axis=(1, 2, 3))
    outside = ((weight - weight.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2, 3))
    return np.asarray(np.divide(outside, energy, out=np.full(len(weight), np.nan), where=energy > 0))


def _needs_color(images: torch.Tensor) -> None:
    """Raise UnsupportedError for gray images."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise UnsupportedError("gray images have no color")
