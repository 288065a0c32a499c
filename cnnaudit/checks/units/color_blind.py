"""Does the network see color?

A network that was given gray images, or whose color was lost on the way, cannot use color. The audit reads it off the
kernels, the optimized images, and the responses to images whose hue is rotated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.units._colored_digits import seeing
from cnnaudit.checks.units.color_blind_figures import blind_share, color_bars, color_pictures, response_evidence
from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval, proportion_interval

if TYPE_CHECKING:
    import torch

    from cnnaudit.units.color import LayerColor

PHOTOGRAPHS, TWIN_IMAGES = 24, 8  # of 224 x 224, each shown in four hues

STEPS, OPTIMA = 64, {True: 32, False: 8}  # of an ascent; units of a layer, on images of at most 64 pixels and larger

LEAST_COLOR = 0.01  # root mean square distance of pixels from gray, below which images are gray


@check(
    question="Does the network see color?",
    statistic="share of units that are blind to color",
    unit="share of units",
    direction="at_most",
    tolerance=0.9,
    gate=False,
    remedy="If color tells the classes apart, look for what takes it away (gray files read as three channels, an "
    "augmentation that drops color, a first layer from a gray network) and train with color; if it does not, one "
    "channel does as well.",
    reference="Garriga, Studying the characterisation of deep CNN neurons, 2019",
    needs=("validation", "inside"),
)
def color_blind(context: CheckContext) -> list[Finding]:
    """The share of units that have nothing to do with color, read three ways; three findings.

    `weights`: kernels of the layers that read the image itself with less than .3 of their energy outside the gray axis
    (`units.color.kernel_color`). All units are measured: the interval is the share itself.

    `optimized`: units whose optimized image (64 steps of the default recipe) keeps .8 of its height when its hue is
    rotated (`units.color.hue_loss`), of the first and the middle convolution; the interval is the exact binomial one
    over units where not all were measured. The rule of the source, the spread of the channels' density peaks, is
    shown too: it agrees less with the responses (rank correlation with `response` .4 and .6 in the first layers of
    MobileNetV2 and Inception v3, where the height kept has .8 and .9).

    `response`: units of all layers whose responses change by less than .1 of what another image changes when the hue of
    the images is rotated and their luma kept (`units.color.hue_sensitivity`); the interval is a bootstrap over images.
    An untrained twin is shown for comparison.

    Tolerance: of small networks on colored images 99 % measure at most .3; MobileNetV2 has .6 by the weights of its
    first layer and .5 by the responses of all, Inception v3 .4 and .4; a network that reads the luma alone has 1: .9.
    """
    from cnnaudit.units.color import OPTIMIZED, WEIGHTS

    images, shared = _some(context), context.among(3)
    if images.shape[1] != 3:
        raise UnsupportedError("gray images have no color")
    by_weights, kernels = _weights(shared, images)
    by_optima, optima = _optimized(shared, images)
    others = [("weights", WEIGHTS, kernels), ("optimized", OPTIMIZED, optima)]
    return [by_weights, by_optima, _response(shared, images, others)]


def _some(context: CheckContext) -> torch.Tensor:
    """The images of the context, as many as 24 photographs of 224 x 224 have pixels."""
    images, _ = context.sample("validation")
    count = max(16, PHOTOGRAPHS * 224 * 224 // (images.shape[2] * images.shape[3]))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]


def _weights(context: CheckContext, images: torch.Tensor) -> tuple[Finding, list[LayerColor]]:
    """The kernels that read the image itself."""
    from cnnaudit.units.color import WEIGHTS, kernel_color

    try:
        read = kernel_color(context.target.model, images[:1].to(context.target.device))
    except UnsupportedError as reason:
        return context.not_applicable(str(reason), part="weights"), []
    values = np.concatenate([layer.values for layer in read])
    blind, n = int((values < WEIGHTS).sum()), len(values)
    finding = context.judge(
        blind / n,
        (blind / n, blind / n),
        n=n,
        n_unit="kernels",
        part="weights",
        summary=f"{blind} of {n} kernels of {_names(read)} have less than {WEIGHTS:g} of their energy outside the gray "
        f"axis (random ones have .67); the median has {np.nanmedian(values):.2f}.",
        locations=_locations(read),
        evidence=[color_bars("Energy of kernels outside the gray axis", read, WEIGHTS)],
    )
    return finding, read


def _optimized(context: CheckContext, images: torch.Tensor) -> tuple[Finding, list[LayerColor]]:
    """The units of the first and the middle convolution whose optimum does not depend on its hue."""
    from cnnaudit.units.color import OPTIMIZED, PEAKS, peak_spread

    if getattr(context.target.model, "batch", None) not in (None, 1):
        return context.not_applicable("the model takes batches of one size only", part="optimized"), []
    optima, read = _optima(context, images[:1].to(context.target.device))
    values = np.concatenate([layer.values for layer in read])
    n = int(np.isfinite(values).sum())
    if not n:
        return context.not_applicable("no input changes the units that were optimized", part="optimized"), []
    blind, every = int((values < OPTIMIZED).sum()), n == sum(layer.population for layer in read)
    alike = int((peak_spread(optima) <= PEAKS).sum())
    finding = context.judge(
        blind / n,
        (blind / n, blind / n) if every else proportion_interval(blind, n, context.confidence),
        n=n,
        n_unit="units",
        part="optimized",
        summary=f"The optimized images of {blind} of {n} units of {_names(read)} keep {1 - OPTIMIZED:.0%} of their "
        f"height when their hue is rotated; by the peaks of their channels {alike} of {len(optima)} are color-blind.",
        locations=_locations(read),
        evidence=[color_pictures(read, optima, values), color_bars("Height lost with the hue", read, OPTIMIZED)],
    )
    return finding, read


def _optima(context: CheckContext, image: torch.Tensor) -> tuple[torch.Tensor, list[LayerColor]]:
    """Optimized images of units of the first and the middle convolution, and what they lose with their hue."""
    import torch

    from cnnaudit.checks.fidelity._neuron_optimum import SMALL, size_of
    from cnnaudit.optimization import channel, maximize
    from cnnaudit.units.color import hue_loss
    from cnnaudit.units.responses import outlets

    model = context.target.model
    every = [outlet for outlet in outlets(model, image) if outlet.spatial]
    if not every:
        raise UnsupportedError("the model has no 2-d convolution")
    chosen = list(dict.fromkeys((every[0], every[len(every) // 2])))
    size = (int(image.shape[1]), int(image.shape[2]), int(image.shape[3]))
    shape = size_of(model, size, [outlet.before for outlet in chosen], most=SMALL)
    optima, read = [], []
    for outlet in chosen:
        order = context.generator(outlet.layer).permutation(outlet.units)[: OPTIMA[max(size[1:]) <= SMALL]]
        units = np.sort(order).tolist()
        try:
            found = maximize(model, channel(outlet.before, units), shape, steps=STEPS, seed=context.seed)
        except ModelError as error:
            raise UnsupportedError(f"no image can be optimized for the model: {error}") from error
        optima.append(found.images.cpu())
        read.append(replace(hue_loss(model, outlet.before, units, found.images), layer=outlet.layer))
    return torch.cat(optima), read


def _response(
    context: CheckContext, images: torch.Tensor, others: list[tuple[str, float, list[LayerColor]]]
) -> Finding:
    """The units of all layers whose responses ignore the hue; `others` are the other readings, with thresholds."""
    from cnnaudit.units.color import RESPONSE, LayerColor, hue_moments, relative_change

    if float((images - images.mean(1, keepdim=True)).square().mean().sqrt()) < LEAST_COLOR:
        return context.not_applicable("the images have three channels and no color", part="response")
    try:
        layers = hue_moments(context.target.model, images, batch_size=context.target.batch_size)
    except UnsupportedError as reason:
        return context.not_applicable(str(reason), part="response")
    moments = np.concatenate([values for _, values in layers], axis=2)
    read = [
        LayerColor(layer, np.arange(values.shape[2]), relative_change(values.mean(axis=0)), values.shape[2])
        for layer, values in layers
    ]

    def share(rows: np.ndarray) -> float:
        weights = np.bincount(rows, minlength=len(images)) / len(rows)
        values = relative_change(np.tensordot(weights, moments, axes=1))
        return float((values < RESPONSE).sum() / max(1, np.isfinite(values).sum()))

    statistic, moving = share(np.arange(len(images))), int(sum(np.isfinite(layer.values).sum() for layer in read))
    twin = _twin(context, images)
    beside = f"; of an untrained twin {blind_share(twin):.0%} do" if twin else ""
    interval = bootstrap_interval(
        np.arange(len(images)),
        share,
        rng=context.generator("response"),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=(0, 1),
    )
    return context.judge(
        statistic,
        interval,
        n=len(images),
        part="response",
        summary=f"The responses of {round(statistic * moving)} of {moving} units change by less than {RESPONSE:g} of "
        f"what another image changes when the hue of {len(images)} images is rotated{beside}.",
        locations=_locations(read),
        evidence=response_evidence(read, twin, others),
    )


def _twin(context: CheckContext, images: torch.Tensor) -> list[LayerColor]:
    """The same reading of an untrained twin; empty where there is none."""
    from cnnaudit.models.untrained import untrained_twin
    from cnnaudit.units.color import hue_sensitivity

    few = images[np.linspace(0, len(images) - 1, min(len(images), TWIN_IMAGES)).astype(int)]
    twin = untrained_twin(context.target.model, few.to(context.target.device), seed=context.seed)
    return hue_sensitivity(twin, few, batch_size=context.target.batch_size) if twin is not None else []


def _locations(read: list[LayerColor]) -> list[Location]:
    """The layers with the median of their units' values, the blindest first."""
    medians = [(float(np.nanmedian(a.values)), a.layer) for a in read if np.isfinite(a.values).any()]
    return [Location(value, layer=layer) for value, layer in sorted(medians)][:24]


def _names(read: list[LayerColor]) -> str:
    """The layers by name."""
    return " and ".join(layer.layer for layer in read)


PLANTS = [
    Plant("every kernel reads the luma alone", partial(seeing, sight="luma"), partial(seeing, sight="opponent"), part)
    for part in ("weights", "optimized", "response")
]
POPULATIONS = [  # gray images have no color
    *(population for population in ordinary(seeds=300) if population.name.endswith("cifar10")),
    Population("random kernels", seeing, 20),
]
