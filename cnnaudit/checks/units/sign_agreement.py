"""Do the signs of a unit's averaged kernel show what the unit looks for?

A kernel averaged over its input channels is often read as a picture of what drives the unit. The audit compares it with
the inputs that drive the unit most, against the kernels of the other units of the layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import unit_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval, derive_seed, permutation_p_value

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.checks.fidelity._unit_patterns import UnitPatterns
    from cnnaudit.target import AuditTarget
    from cnnaudit.units import SignAgreement

UNITS = 36  # over all layers, at quick
MOST_PIXELS = 64 * 224 * 224  # of real images among which the top ones are searched
SMALL = 64  # pixels a side: an untrained copy is measured too
PARTS = {"top_images": "their top images", "optimized": "their optimized images"}
EDGES, SIDE = 48, 5  # units of the planted layer, and the side of their kernels


@check(
    question="Do the signs of a unit's averaged kernel show what the unit looks for?",
    statistic="mean rank of a unit's own averaged kernel among those of its layer",
    unit="share of kernels",
    direction="at_least",
    tolerance=0.75,
    gate=False,
    remedy="Do not read averaged kernels of this model as pictures of what its units look for: what matters cancels in "
    "the average over the input channels. Look at top images and optimized images, or at the kernels of single inputs.",
    reference="Garriga, Studying the characterisation of deep CNN neurons, 2019",
    needs=("validation", "inside"),
)
def sign_agreement(context: CheckContext) -> list[Finding]:
    """How well a unit's averaged kernel tells the pattern that drives it, against the kernels of other units.

    For units of the first, the middle and the last convolution whose units average several kernels (36 in all at
    `quick`, more above), the pattern is the mean over the input channels of the layer's input where the unit responds
    most, before its activation function: `top_images`, over the 9 images that it responds to most; `optimized`, at the
    center of an image optimized for it. r is the correlation of the averaged kernel with the pattern over the h x w
    positions, both less their means. The statistic is the mean over units of the share of the layer's other kernels
    whose r with the same pattern is smaller: 1 where every unit's own kernel fits best, .5 where any kernel of the
    layer would do as well. The interval is a bootstrap over units. Kernels with shuffled positions, and the share of
    positions with the same sign, are in the table. Units that read one channel agree by construction and are left out.

    That units respond to their own weights is arithmetic, not learning: an untrained copy (measured too where images
    are small) often agrees more. Over ten layers of Inception v3 an untrained one measures .75 (top images) and .79
    (optimized), the one trained on ImageNet .67 and .70.

    Tolerance: of networks whose units look for their averaged kernel 99 % measure at least .9, those whose kernels
    cancel in the average about .5 and never above .6; half way between chance and certainty: .75.
    """
    target = context.target
    from cnnaudit.checks.fidelity._neuron_optimum import size_of
    from cnnaudit.checks.fidelity._unit_patterns import averaging_layers

    if getattr(target.model, "batch", None) not in (None, 1):
        raise UnsupportedError("the model takes batches of one size only, and optimized images leave the batch")
    images = _real(context)
    layers = averaging_layers(target.model, images[:1].to(target.device))
    if not layers:
        raise UnsupportedError("no convolution averages several spatial kernels: a unit with one kernel is that kernel")
    layers = [layers[k] for k in sorted({0, (len(layers) - 1) // 2, len(layers) - 1})]
    count = UNITS * (1 if context.profile.name == "quick" else 3) // len(layers)
    chosen = {
        layer.layer: np.sort(context.generator("units", layer.layer).permutation(layer.units)[:count])
        for layer in layers
    }
    shape = size_of(target.model, (images.shape[1], images.shape[2], images.shape[3]), list(chosen))
    found = _compared(context, target.model, images, chosen, shape)
    untrained = _untrained(context, images, chosen, shape)
    return [_finding(context.among(2), part, found[part], untrained.get(part), images) for part in PARTS]


@dataclass(frozen=True, eq=False)
class _Layer:
    """The units of a layer, their patterns of one kind (n, h, w), and how well kernels fit them."""

    patterns: UnitPatterns
    windows: np.ndarray
    agreement: SignAgreement


def _compared(
    context: CheckContext,
    model: nn.Module,
    images: torch.Tensor,
    chosen: Mapping[str, np.ndarray],
    shape: tuple[int, int, int],
) -> dict[str, list[_Layer]]:
    """The layers that were chosen, by part."""
    from cnnaudit.checks.fidelity._unit_patterns import averaging_layers, unit_patterns
    from cnnaudit.units import sign_agreement

    seed = derive_seed(context.seed, context.target.name, context.check.id)
    found: dict[str, list[_Layer]] = {part: [] for part in PARTS}
    for layer in averaging_layers(model, images[:1].to(context.target.device)):
        if layer.layer not in chosen:
            continue
        patterns = unit_patterns(model, images, layer, chosen[layer.layer], shape, seed=seed)
        for part, windows in (("top_images", patterns.top), ("optimized", patterns.optimized)):
            agreement = sign_agreement(layer.averaged(), windows, patterns.units, seed=seed)
            found[part].append(_Layer(patterns, windows, agreement))
    return found


def _untrained(
    context: CheckContext, images: torch.Tensor, chosen: Mapping[str, np.ndarray], shape: tuple[int, int, int]
) -> dict[str, float]:
    """The mean rank in an untrained copy, by part; nothing where images are large, as it costs as much again."""
    from cnnaudit.models.untrained import untrained_twin

    if max(images.shape[2:]) > SMALL:
        return {}
    twin = untrained_twin(context.target.model, images[:64].to(context.target.device), seed=context.seed)
    if twin is None:
        return {}
    found = _compared(context, twin, images, chosen, shape)
    return {part: _mean(layers) for part, layers in found.items() if layers}


def _mean(layers: list[_Layer]) -> float:
    """The mean rank over all units."""
    return float(np.concatenate([layer.agreement.rank for layer in layers]).mean())


def _real(context: CheckContext) -> torch.Tensor:
    """The images of the context, as many as 64 photographs of 224 x 224 have pixels."""
    images, _ = context.sample("validation")
    count = max(16, MOST_PIXELS // (images.shape[2] * images.shape[3]))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]


def _finding(
    context: CheckContext, part: str, layers: list[_Layer], untrained: float | None, images: torch.Tensor
) -> Finding:
    """The finding of one kind of pattern."""
    found = [layer.agreement for layer in layers]
    ranks = np.concatenate([layer.rank for layer in found])
    interval = bootstrap_interval(
        ranks,
        lambda values: float(values.mean()),
        rng=context.generator("bootstrap", part),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=(0, 1),
    )
    matching = float(np.concatenate([layer.matching for layer in found]).mean())
    correlation = float(np.concatenate([layer.correlation for layer in found]).mean())
    beside = "" if untrained is None else f"; in an untrained copy: {untrained:.0%}"
    return context.judge(
        _mean(layers),
        interval,
        n=len(ranks),
        n_unit="units",
        part=part,
        summary=f"The averaged kernels of {len(ranks)} units fit what drives them in {PARTS[part]} better than "
        f"{_mean(layers):.0%} of the other kernels of their layer do (any kernel: 50%{beside}); the correlation is "
        f"{correlation:.2f} on average, and {matching:.0%} of the positions have the same sign.",
        locations=[
            Location(
                float(layer.agreement.rank[k]), layer=layer.patterns.layer.layer, unit=int(layer.patterns.units[k])
            )
            for layer in layers
            for k in np.argsort(layer.agreement.rank, kind="stable")
            if layer.agreement.rank[k] < context.tolerance
        ][:24],
        evidence=_evidence(context, part, layers, images),
    )


def _evidence(context: CheckContext, part: str, layers: list[_Layer], images: torch.Tensor) -> list[Evidence]:
    """The layers, the null, and kernels next to what they should show."""
    columns = ["layer", "kernels", "units measured", "rank among the layer's", "rank among shuffles", "correlation"]
    rows = []
    for layer in layers:
        kernels, a = layer.patterns.layer, layer.agreement
        values = [round(float(value.mean()), 2) for value in (a.rank, a.shuffled, a.correlation, a.matching)]
        rows.append([kernels.layer, kernels.units, len(a.units), *values])
    draws = [
        layer.agreement.null(context.resamples, context.generator("null", part, k)) for k, layer in enumerate(layers)
    ]
    null = np.average(draws, axis=0, weights=[len(layer.agreement.units) for layer in layers])
    p_value = permutation_p_value(_mean(layers), null)
    return [
        evidence.table("Averaged kernels and what drives their units", [*columns, "same sign"], rows),
        evidence.null_distribution(
            f"Mean rank with random kernels of the layers: {p_value:.1%} reach the measured one",
            null,
            _mean(layers),
            label="mean rank",
            tolerance=context.tolerance,
        ),
        *(_pictures(part, layer, images) for layer in layers if images.shape[1] in (1, 3)),
    ]


def _pictures(part: str, layer: _Layer, images: torch.Tensor) -> Evidence:
    """For a few units from the best rank to the worst: kernel, pattern, and the image."""
    from torch.nn.functional import interpolate

    patterns, rank = layer.patterns, layer.agreement.rank
    order = np.argsort(-rank, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, min(6, len(order))).astype(int))]
    averaged = patterns.layer.averaged()
    shown, captions = [], []
    for k in rows:
        unit = int(patterns.units[k])
        image = images[patterns.best[k]] if part == "top_images" else patterns.images[k]
        drawn = interpolate(image[None].float(), (96, 96), mode="bilinear")[0].numpy()
        shown += [_drawn(averaged[unit], images.shape[1]), _drawn(layer.windows[k], images.shape[1]), drawn]
        what = "top image" if part == "top_images" else "optimized image"
        captions += [f"unit {unit}: kernel", f"pattern, rank {rank[k]:.2f}", what]
    return evidence.images(
        f"{patterns.layer.layer}: averaged kernel, the pattern in its input, the image", np.stack(shown), captions
    )


def _drawn(values: np.ndarray, channels: int) -> np.ndarray:
    """A small map as a picture of 96 x 96, gray at its mean, white above."""
    centered = values - values.mean()
    scaled = 0.5 + 0.5 * centered / max(float(np.abs(centered).max()), 1e-12)
    rows, columns = (np.arange(96) * length // 96 for length in values.shape)
    return np.asarray(scaled[np.ix_(rows, columns)][None].repeat(channels, axis=0))


def edge_units(seed: int, source: str = "digits", shuffled: bool = False) -> AuditTarget:
    """A network whose second layer looks for edges and bars of all directions, and an untrained readout after it.

    Its first layer passes on the brightness x twice, and once 1 - x. The second layer has the kernels (k, k, 0) for
    these three, so that its average is 2/3 k; or, `shuffled`, (s, k, s - k) with s a shuffle of k, whose average is 2/3
    s. Both respond 2 <k, x> plus a constant: <s, x> + <k, x> + <s - k, 1 - x>, with sums of k and s of 0.
    """
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    rng = np.random.default_rng(seed)
    images, labels, names = unit_images(source, rng)
    images, labels = images[:400], labels[:400]
    k = np.stack([_grating(rng) for _ in range(EDGES)])
    s = rng.permuted(k.reshape(EDGES, -1), axis=1).reshape(k.shape)
    parts = (s, k, s - k) if shuffled else (k, k, np.zeros_like(k))
    channels = images.shape[1]
    first, second = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, EDGES, SIDE)
    last = nn.Linear(EDGES * 16, len(names))
    with torch.no_grad():
        first.weight.copy_(torch.tensor([1.0, 1.0, -1.0]).view(3, 1, 1, 1) / channels)
        first.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))  # type: ignore[union-attr]
        second.weight.copy_(torch.from_numpy(np.stack(parts, axis=1)))
        second.bias.zero_()  # type: ignore[union-attr]
        last.weight.copy_(torch.from_numpy(rng.standard_normal(last.weight.shape)) / 20)
        last.bias.zero_()
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(), last).eval()
    name = "kernels that cancel" if shuffled else "edges"
    return AuditTarget.from_arrays(
        f"planted: {name}, {source}", network, {"validation": (images, labels)}, classes=names
    )


def _grating(rng: np.random.Generator) -> np.ndarray:
    """An edge or a bar of random direction and place, of mean 0."""
    angle, phase = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    across = columns * np.cos(angle) + rows * np.sin(angle)
    drawn = np.sin(across * rng.uniform(0.6, 1.4) + phase)
    return np.asarray(drawn - drawn.mean())


PLANTS = [
    *(
        Plant(
            "the kernels of a unit cancel in their average", partial(edge_units, shuffled=True), edge_units, part=part
        )
        for part in ("top_images", "optimized")
    ),
]


POPULATIONS = [*ordinary(seeds=300), Population("units that look for edges", edge_units, 20)]
