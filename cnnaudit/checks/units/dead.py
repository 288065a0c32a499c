"""Do units fire on the data, and do they ever stop?

A unit that fires on no image holds nothing, and one that is above 0 everywhere is linear: both are wasted. The audit
counts them in every layer on the validation images, and judges the layer with the most of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import readout
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
    from cnnaudit.units._dead import LayerFiring
    from cnnaudit.units.responses import Outlet

MOST_PIXELS = 64 * 224 * 224  # of all images together
TWIN_IMAGES = 16


@check(
    question="Do units fire on the data, and do they ever stop?",
    statistic="share of the units of the worst layer that never fire, or always do",
    unit="share of units",
    direction="at_most",
    tolerance=0.8,
    gate=False,
    remedy="Train with a smaller learning rate, with batch normalization or a leaky activation function, or give the "
    "layer fewer units: units that never fire take time and contribute nothing, units that always fire are linear.",
    reference="Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017",
    needs=("validation", "inside"),
)
def dead(context: CheckContext) -> list[Finding]:
    """The share of a layer's units that fire in no image, and of those that fire everywhere in all; two findings.

    `never`: above 0 at no position of any image, after the activation function (for a convolution without one: the
    same number everywhere). `always`: above 0 at every position of every image, in the layers with an activation
    function. Layers are the convolutions and the dense layers with an activation function, the MLPs of a transformer
    among them; the statistic is the share in the worst layer. Its interval is a bootstrap over images. For a unit
    silent in n images the summary states the exact binomial bound: it fires in at most 1 - .05^(1/n) of all images.
    The same shares in an untrained twin are shown for comparison. Where no activation function is seen behind any
    layer, no unit can be said to fire, and neither question applies.

    Tolerance: of small networks trained with ReLU 99 % measure at most .7 (in their dense layer; MobileNetV2 .13 and
    .58, Inception v3 .06 and .06), and more images make it less: .8, a layer of which a fifth is alive.
    """
    from cnnaudit.models.untrained import untrained_twin
    from cnnaudit.units._dead import firing
    from cnnaudit.units.responses import all_outlets

    target, images = context.target, _some(context)
    seen = all_outlets(target.model, images[:1])
    if not any(outlet.rectified for outlet in seen):
        return [context.among(2).not_applicable(_not_seen(seen), part=kind) for kind in ("never", "always")]
    layers = firing(target.model, images, batch_size=target.batch_size)
    few = images[:TWIN_IMAGES]
    twin = untrained_twin(target.model, few.to(target.device), seed=context.seed)
    beside = firing(twin, few, batch_size=target.batch_size) if twin is not None else []
    return [_finding(context.among(2), kind, layers, beside, len(seen)) for kind in ("never", "always")]


def _not_seen(seen: Sequence[Outlet]) -> str:
    """Why no unit can be said to fire."""
    if not seen:
        return "the model has no 2-d convolution and no dense layer"
    return (
        f"no activation function such as ReLU, GELU or SiLU (tanh and sigmoid do not rest at 0) was seen directly "
        f"after any of the {len(seen)} convolutions and dense layers"
    )


def _some(context: CheckContext) -> torch.Tensor:
    """The images of the sample, at most as many as 64 photographs of 224 x 224 have pixels."""
    images, _ = context.sample("validation")
    count = max(16, MOST_PIXELS // (images.shape[2] * images.shape[3]))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]


def _finding(
    context: CheckContext, kind: str, layers: list[LayerFiring], twin: list[LayerFiring], seen: int
) -> Finding:
    """The worst layer's share of units that never fire, or always do; `seen` counts all layers of the model."""
    if kind == "always":
        layers, twin = ([layer for layer in part if layer.rectified] for part in (layers, twin))
    events = [_events(layer, kind) for layer in layers]
    shares = [float((~event.any(axis=0)).mean()) for event in events]
    interval = bootstrap_interval(
        np.arange(len(events[0])),
        _worst_share(events),
        rng=context.generator(kind),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=(0, 1),
    )
    return context.judge(
        max(shares),
        interval,
        n=len(events[0]),
        part=kind,
        summary=_summary(kind, layers, shares, twin, seen),
        locations=[
            Location(share, layer=layer.layer) for share, layer in sorted(zip(shares, layers), key=lambda p: -p[0])
        ][:24],
        evidence=_evidence(context, kind, layers, shares, twin),
    )


def _summary(kind: str, layers: list[LayerFiring], shares: list[float], twin: list[LayerFiring], seen: int) -> str:
    """The worst layer with its share, all layers together, and which layers the number covers."""
    from cnnaudit.units._dead import firing_bound

    n, worst = len(layers[0].fires), int(np.argmax(shares))
    units = layers[worst].units
    count, total = round(shares[worst] * units), sum(round(share * x.units) for share, x in zip(shares, layers))
    verb = "never fire on" if kind == "never" else "fire at every position of"
    bound = (
        f" (each may still fire on up to {firing_bound(n):.1%} of other images)" if kind == "never" and count else ""
    )
    beside = f" ({_pooled(twin, kind):.0%} in an untrained twin)" if twin else ""
    of_all = f"; over all layers, {total} of {sum(layer.units for layer in layers)} do{beside}"
    covered = f"{len(layers)} of the {seen} convolutions and dense layers"
    rule = " with an activation function directly after them" if kind == "always" else " that can be judged"
    return (
        f"In layer {layers[worst].layer}, the worst, {count} of {units} units ({shares[worst]:.0%}) {verb} the {n} "
        f"images{bound}{of_all}. This covers the {covered}{rule}."
    )


def _events(layer: LayerFiring, kind: str) -> np.ndarray:
    """bool (N, units): what must happen in some image for the unit not to be found: it fires, or it stops somewhere."""
    return layer.fires if kind == "never" else layer.lowest <= 0


def _worst_share(events: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    """The statistic on resampled images: the largest share of a layer's units without an event, on packed bits."""
    sizes = np.array([event.shape[1] for event in events])
    packed = np.packbits(np.concatenate(events, axis=1), axis=1)
    starts = np.cumsum(sizes) - sizes

    def statistic(rows: np.ndarray) -> float:
        seen = np.unpackbits(np.bitwise_or.reduce(packed[np.unique(rows)], axis=0), count=int(sizes.sum()))
        return float((1 - np.add.reduceat(seen.astype(np.int64), starts) / sizes).max())

    return statistic


def _pooled(layers: list[LayerFiring], kind: str) -> float:
    """The share over the units of all layers."""
    return float(np.concatenate([getattr(layer, kind) for layer in layers]).mean())


def _evidence(
    context: CheckContext, kind: str, layers: list[LayerFiring], shares: list[float], twin: list[LayerFiring]
) -> list[Evidence]:
    """The layers with their counts beside those of the untrained twin, and how often units fire."""
    null = {layer.layer: float(getattr(layer, kind).mean()) for layer in twin}
    order = np.argsort([-share for share in shares], kind="stable")[:24]
    rows = [
        [layers[k].layer, layers[k].units, round(shares[k] * layers[k].units), round(shares[k], 3)]
        + ([round(null[layers[k].layer], 3)] if null else [])
        for k in order
    ]
    columns = ["layer", "units", f"{kind} fire", "share", *(["share in an untrained twin"] if null else [])]
    drawn = {layers[k].layer: shares[k] for k in order}
    return [
        evidence.table(f"Units that {kind} fire, worst layers first", columns, rows),
        evidence.bars(
            f"Share of units that {kind} fire, by layer", drawn, label="share of units", tolerance=context.tolerance
        ),
    ]


def pushed(seed: int, bias: float = 0.0, share: float = 0.95) -> AuditTarget:
    """A small network on digits whose first layer has a bias of that much, but for one unit in twenty.

    Biases of -100 silence a unit on pixels in [0, 1], biases of 100 keep it above 0.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation", seed)
    network = readout(data.images, data.labels, 10)
    first = network[0]
    assert isinstance(first, nn.Conv2d)
    chosen = np.random.default_rng(seed).permutation(len(first.weight))[: int(share * len(first.weight))]
    first.bias = nn.Parameter(torch.zeros(len(first.weight)))
    with torch.no_grad():
        first.bias[chosen.tolist()] = bias
    images = {"validation": (data.images, data.labels)}
    return AuditTarget.from_arrays(f"planted: biases of {bias:g}", network, images, classes=data.classes)


PLANTS = [
    Plant("biases pushed far down", partial(pushed, bias=-100.0), pushed, part="never"),
    Plant("biases pushed far up", partial(pushed, bias=100.0), pushed, part="always"),
]


POPULATIONS = ordinary(seeds=300)
