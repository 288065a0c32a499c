"""Do the filters hold something, or the noise that training began with?

Weights that were never loaded or trained are still the random numbers they were initialized with. The audit tests the
weights of each filter for order, and compares the images that drive units most with those of untrained twins.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import sampled
from cnnaudit.checks.units.untrained_figures import optimized_evidence, weights_evidence
from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed, proportion_interval

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget
    from cnnaudit.units import LayerKernels
    from cnnaudit.units.untrained import LayerNoise

MOST_UNITS = 64  # of a layer, whose weights are tested
FEWEST_WEIGHTS = 48  # of a filter on several channels: with fewer, many trained ones pass for noise
PERMUTATIONS = 99
NOISE = 0.65  # share of high frequencies from which an optimum is noise, or less where a twin's is; white noise has .80
STEPS = 32
SMALL_SIDE = 64  # pixels
OPTIMA = {True: 32, False: 8}  # units of a layer that are optimized, on small images and on larger ones
TWINS = {True: 6, False: 0}  # untrained networks of small images differ; those of larger ones all have .77 to .84


@check(
    question="Do the filters hold something, or the noise that training began with?",
    statistic="share of filters that cannot be told from noise",
    unit="share of filters",
    direction="at_most",
    tolerance=0.7,
    gate=False,
    remedy="Check that the weights of the layers named here were loaded and trained (a checkpoint read with "
    "strict=False leaves layers of other names at their initialization; frozen layers stay there), or train longer.",
    reference="Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017",
    needs=("validation", "inside"),
)
def untrained(context: CheckContext) -> list[Finding]:
    """The share of filters that look like their initialization; two findings.

    `weights`: in the worst layer, filters whose weights might as well have been shuffled (p > .1 of the permutation
    tests in `units.untrained.noise_p_values`: smoothness, spectrum and places), of at most 64 filters. Judged are the
    layers whose filters have 48 weights or more on several channels; in a network without any, all others with a test
    (depthwise and 1x1 kernels, which need 16 units) together. Of an untrained layer 90 % are found.

    `optimized`: units whose optimum, found without a regularizer, is noise: its share of energy above a quarter of a
    cycle per pixel is .65 or more (white noise: .80), or, on images of at most 64 pixels, as much as 95 % of the optima
    of six untrained twins have, if that is less. The center of the map, 32 steps, of up to 32 units (8 of a network on
    larger images) of the middle and the last convolution, or of the last one and the logits, in images of at most 64
    pixels. Trained networks have optima as rough as that too (a CIFAR-10 network of .84 accuracy: all of its units), so
    units count only where no layer's weights refute it: a single layer of which more filters than the tolerance allows
    can be told from noise shows that the network was trained, and none of its units counts. `weights` finds single
    layers, this one whole networks. It does not apply to networks with one convolution, whose optima are kernels, and
    where no weights can be tested.

    The unit of replication is the filter: the interval is the exact binomial one, and the share itself where all were
    measured. Tolerance: the worst layer of 103 ordinary networks measured at most .67 but for one (.75), that of their
    untrained twins .75 and more: .7.
    """
    from cnnaudit.units import kernels

    target = context.target
    images, _ = context.sample("validation")
    found = kernels(target.model, images[:1].to(target.device))
    rows = _noise(context, found)
    return [_weights(context.among(2), found, rows), _optimized(context.among(2), images, rows)]


def _noise(context: CheckContext, found: list[LayerKernels]) -> list[LayerNoise]:
    """The p-values of the filters of every layer that has a test."""
    from cnnaudit.units.untrained import noise_p_values

    seed = derive_seed(context.seed, context.target.name, context.check.id)
    rows = noise_p_values(found, most=MOST_UNITS, permutations=PERMUTATIONS, seed=seed)
    return [row for row in rows if row.tests and np.isfinite(row.p_values).any()]


def _judged(rows: Sequence[LayerNoise]) -> tuple[list[LayerNoise], list[LayerNoise]]:
    """The layers that are judged one by one, and those that are judged together where there are none of the former."""
    full = [row for row in rows if row.weights >= FEWEST_WEIGHTS and "spectrum" in row.tests]
    return full, [row for row in rows if "spectrum" not in row.tests and {"places", "directions"} & {*row.tests}]


def _least_noise(rows: Sequence[LayerNoise]) -> tuple[str, float]:
    """The layer whose weights are least like noise, and its share of filters like noise."""
    full, rest = _judged(rows)
    if not full:
        return "the depthwise and 1x1 layers", float(np.concatenate([row.noise for row in rest]).mean())
    least = min(full, key=lambda row: float(row.noise.mean()))
    return f"layer {least.layer}", float(least.noise.mean())


def _weights(context: CheckContext, found: list[LayerKernels], rows: list[LayerNoise]) -> Finding:
    """The filters of the worst layer whose weights might as well have been shuffled."""
    full, rest = _judged(rows)
    if not full and not rest:
        most = max((layer.weights[0].size for layer in found), default=0)
        reason = f"no layer has filters that could be told from noise: the largest have {most} weights"
        return context.not_applicable(f"{reason}, {FEWEST_WEIGHTS} on several channels are needed", part="weights")
    worst = max(full, key=lambda row: float(row.noise.mean())) if full else None
    judged = [worst] if worst else rest
    noise, n = int(sum(row.noise.sum() for row in judged)), sum(len(row.units) for row in judged)
    where = f"layer {worst.layer}" if worst else f"{len(rest)} layers of depthwise and 1x1 kernels"
    full_share = f", the worst of {len(full)} layers" if len(full) > 1 else ""
    return context.judge(
        noise / n,
        _interval(noise, n, n == sum(row.population for row in judged), context),
        n=n,
        n_unit="filters",
        part="weights",
        summary=f"The weights of {noise} of {n} filters of {where}{full_share} cannot be told from noise; of an "
        "untrained layer 90 % cannot.",
        locations=[
            Location(float(row.noise.mean()), layer=row.layer)
            for row in sorted(full or rest, key=lambda row: -float(row.noise.mean()))
        ][:24],
        evidence=weights_evidence(context.tolerance, rows, full or rest),
    )


def _optimized(context: CheckContext, images: torch.Tensor, rows: list[LayerNoise]) -> Finding:
    """The units of the middle and the last convolution whose optimum is as rough as an untrained network's."""
    from cnnaudit.checks.fidelity._neuron_optimum import layers_of
    from cnnaudit.optimization import LOGITS

    if getattr(context.target.model, "batch", None) not in (None, 1):
        return context.not_applicable("the model takes batches of one size only", part="optimized")
    image = images[:1].to(context.target.device)
    layers = layers_of(context.target.model, image)[1]
    if layers == [LOGITS]:
        return context.not_applicable("the network has one convolution; its optimum is the kernel", part="optimized")
    if not any(_judged(rows)):
        reason = "trained networks have optimized images like noise too, and no layer has weights that could be tested"
        return context.not_applicable(reason, part="optimized")
    read = _optima(context, context.target.model, image, layers)
    null = _untrained_roughness(context, images, layers)
    rough, n = sum(int((x.high >= null[x.layer]).sum()) for x in read), sum(len(x.high) for x in read)
    if not n:
        return context.not_applicable("no input changes the units that were optimized", part="optimized")
    where, least = _least_noise(rows)
    found = rough if least > context.tolerance else 0
    return context.judge(
        found / n,
        _interval(found, n, n == sum(layer.population for layer in read), context),
        n=n,
        n_unit="filters",
        part="optimized",
        summary=_optimized_summary(read, null, rough, where, least, refuted=least <= context.tolerance),
        locations=sorted(
            (Location(float(h), layer.layer, u) for layer in read for h, u in zip(layer.high, layer.units)),
            key=lambda place: -place.statistic,
        )[:24],
        evidence=optimized_evidence(read, null),
    )


def _optimized_summary(
    read: list[LayerOptima], null: dict[str, float], rough: int, where: str, least: float, *, refuted: bool
) -> str:
    """How many optimized images are rough, and whether the weights show training nevertheless."""
    names = " and ".join(layer.layer for layer in read)
    medians = " and ".join(f"{np.median(layer.high):.0%}" for layer in read if len(layer.high))
    bounds = " and ".join(f"{null[layer.layer]:.0%}" for layer in read)
    counted = f"The optimized images of {rough} of {sum(len(layer.high) for layer in read)} units of {names} are"
    told = f"they have {medians} of their energy at high frequencies (medians), noise begins at {bounds}"
    weights = f"{least:.0%} of the filters of {where} cannot be told from noise by their weights (untrained: 90 %)"
    if not refuted:
        return f"{counted} noise: {told}, and {weights}."
    return f"{counted} as rough as noise ({told}). The weights show that the network is trained: only {weights}."


@dataclass(frozen=True, eq=False)
class LayerOptima:
    """Optimized images (n, C, H, W) of units (n,) of a layer that has `population`, and their high frequencies (n,)."""

    layer: str
    units: list[int]
    images: torch.Tensor
    high: np.ndarray
    population: int


def _optima(context: CheckContext, model: nn.Module, image: torch.Tensor, layers: list[str]) -> list[LayerOptima]:
    """Optimized images of some units of those layers; of units that no input changes, none."""
    import torch

    from cnnaudit.checks.fidelity._activations import heights
    from cnnaudit.checks.fidelity._neuron_optimum import SMALL, size_of
    from cnnaudit.optimization import maximize, unit
    from cnnaudit.units.untrained import high_frequencies

    shape = size_of(model, (image.shape[1], image.shape[2], image.shape[3]), layers, most=SMALL)
    most = OPTIMA[max(image.shape[2:]) <= SMALL]
    read = []
    for layer in layers:
        count = heights(model, torch.full((1, *shape), 0.5), layer).shape[1]
        chosen = np.sort(context.generator(layer).permutation(count)[:most]).tolist()
        try:
            found = maximize(model, unit(layer, chosen), shape, "none", steps=STEPS, seed=context.seed)
        except ModelError as error:
            raise UnsupportedError(f"no image can be optimized for the model: {error}") from error
        alive = [k for k, outcome in enumerate(found.outcome) if outcome != "dead"]
        best = found.images[alive].cpu()
        read.append(LayerOptima(layer, [chosen[k] for k in alive], best, high_frequencies(best), count))
    return read


def _untrained_roughness(context: CheckContext, images: torch.Tensor, layers: list[str]) -> dict[str, float]:
    """Per layer the share of high frequencies from which an optimum is noise: 95 % of those of twins, or .65."""
    from cnnaudit.models.untrained import untrained_twin

    few, drawn = images[:16].to(context.target.device), []
    for seed in range(TWINS[max(images.shape[2:]) <= SMALL_SIDE]):
        twin = untrained_twin(context.target.model, few, seed=derive_seed(context.seed, "twin", seed))
        drawn.append(_optima(context, twin, few[:1], layers) if twin is not None else [])
    null = dict.fromkeys(layers, NOISE)
    for parts in zip(*drawn):
        high = np.concatenate([part.high for part in parts])
        if len(high):
            null[parts[0].layer] = min(NOISE, float(np.quantile(high, 0.05)))
    return null


def _interval(found: int, n: int, every: bool, context: CheckContext) -> tuple[float, float]:
    """Exact binomial over filters; the share itself where all were measured, since nothing was sampled."""
    return (found / n, found / n) if every else proportion_interval(found, n, context.confidence)


Fresh = Literal["none", "last", "all"]


def partly_trained(seed: int, fresh: Fresh = "none", source: str = "digits") -> AuditTarget:
    """A LeNet of 8 and 64 filters trained on the source, with layers put back to their initialization.

    `last`: its second convolution, as when a checkpoint names it otherwise and is read without asking. `all`: every
    layer.
    """
    import torch

    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled(source, "validation", seed)
    model = copy.deepcopy(_trained(seed, source))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in model.named_children():
            if fresh == "all" or (fresh == "last" and name == "conv2"):
                getattr(layer, "reset_parameters", lambda: None)()
    split = {"validation": (images, labels)}
    return AuditTarget.from_arrays(f"planted: {fresh} of the layers untrained, {source}", model, split, classes)


@functools.lru_cache(maxsize=2)
def _trained(seed: int, source: str) -> nn.Module:
    """The trained network."""
    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    images, labels, classes = sampled(source, "train", seed)
    model = lenet((8, 64), hidden=32, classes=len(classes), size=images.shape[2], channels=images.shape[1])
    fit(model, (images, labels), epochs=8, learning_rate=0.005, seed=seed)
    return model


PLANTS = [
    Plant("a convolution was never loaded", partial(partly_trained, fresh="last"), partly_trained, "weights"),
    Plant("nothing was trained", partial(partly_trained, fresh="all"), partly_trained, "optimized"),
]


POPULATIONS = [
    *ordinary(seeds=300),
    Population("LeNets on dataset 3.0", partial(partly_trained, source="dataset 3.0"), 6),
]
