"""Do units fire on the data, and do they ever stop?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check, real
from cnnaudit.checks.readout import readout
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.small_targets import plain

if TYPE_CHECKING:
    import torch

    from cnnaudit.core.evidence import Evidence
    from cnnaudit.units._dead import LayerFiring


MOST_PIXELS = 64 * 224 * 224


TWIN_IMAGES = 16


@check(
    question="Do units fire on the data, and do they ever stop?",
    statistic="share of the units of the worst layer that never fire, or always do",
    unit="share of units",
    direction="at_most",
    tolerance=0.8,
    gate=False,
    remedy="Train with a smaller learning rate, with batch normalization or a leaky activation function, or give the "
    "layer fewer units: those that never fire cost time and hold nothing, those that always do are linear.",
    reference="Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017",
    needs=("validation", "inside"),
)
def dead(context: CheckContext) -> list[Finding]:
    """The share of a layer's units that fire in no image, and that of those that fire everywhere in all; two findings.

    `never`: above 0 at no position of no image, after the activation function (of a layer without one: one number
    everywhere). `always`: above 0 at every position of every image. Convolutions, and dense layers with an activation
    function; the statistic is the share in the worst layer. Its interval is a bootstrap over images. Of a unit silent
    in n images the exact binomial bound stands in the summary: it fires in at most 1 - .05^(1/n) of all images. The
    same shares of an untrained twin stand beside it.

    Tolerance: of small networks trained with ReLU 99 % measure at most .7 (in their dense layer; MobileNetV2 .13 and
    .58, Inception v3 .06 and .06), and more images make it less: .8, a layer of which a fifth is alive.
    """
    target = context.target
    from cnnaudit.models.untrained import untrained_twin
    from cnnaudit.units._dead import firing

    images = _some(context)
    layers = firing(target.model, images, batch_size=target.batch_size)
    few = images[:TWIN_IMAGES]
    twin = untrained_twin(target.model, few.to(target.device), seed=context.seed)
    beside = firing(twin, few, batch_size=target.batch_size) if twin is not None else []
    return [_finding(context.among(2), kind, layers, beside) for kind in ("never", "always")]


def _some(context: CheckContext) -> torch.Tensor:
    """The images of the context, as many as 64 photographs of 224 x 224 have pixels."""
    images, _ = context.sample("validation")
    count = max(16, MOST_PIXELS // (images.shape[2] * images.shape[3]))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]


def _finding(context: CheckContext, kind: str, layers: list[LayerFiring], twin: list[LayerFiring]) -> Finding:
    """The worst layer's share of units that never fire, or always do."""
    from cnnaudit.units._dead import firing_bound

    if kind == "always":
        layers, twin = ([layer for layer in part if layer.rectified] for part in (layers, twin))
    if not layers:
        return context.not_applicable("no layer has an activation function", part=kind)
    events = [_events(layer, kind) for layer in layers]
    shares = [float((~event.any(axis=0)).mean()) for event in events]
    n, worst = len(events[0]), int(np.argmax(shares))
    interval = bootstrap_interval(
        np.arange(n),
        _worst_share(events),
        rng=context.generator(kind),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=(0, 1),
    )
    count, units = round(shares[worst] * layers[worst].units), layers[worst].units
    total = sum(round(share * layer.units) for share, layer in zip(shares, layers))
    beside = f"; in an untrained twin {_pooled(twin, kind):.0%} of all" if twin else ""
    what = "at no position of" if kind == "never" else "at every position of"
    bound = f" (each may yet fire in up to {firing_bound(n):.1%} of others)" if kind == "never" and count else ""
    return context.judge(
        shares[worst],
        interval,
        n=n,
        part=kind,
        summary=f"{count} of {units} units of layer {layers[worst].layer} fire {what} the {n} images{bound}, of all "
        f"layers {total} of {sum(layer.units for layer in layers)} units{beside}.",
        locations=[
            Location(share, layer=layer.layer) for share, layer in sorted(zip(shares, layers), key=lambda p: -p[0])
        ][:24],
        evidence=_evidence(context, kind, layers, shares, twin),
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
    from cnnaudit.core.evidence import bars, table

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
        table(f"Units that {kind} fire, worst layers first", columns, rows),
        bars(f"Share of units that {kind} fire, by layer", drawn, label="share of units", tolerance=context.tolerance),
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


_SOURCES = ("digits", "dataset 3.0", *(("mnist", "cifar10") if real.available() else ()))


PLANTS = [
    Plant("biases pushed far down", partial(pushed, bias=-100.0), pushed, part="never"),
    Plant("biases pushed far up", partial(pushed, bias=100.0), pushed, part="always"),
]


POPULATIONS = [
    *(Population(f"LeNets on {source}", partial(plain, source=source, trained=True), 6) for source in _SOURCES),
]
