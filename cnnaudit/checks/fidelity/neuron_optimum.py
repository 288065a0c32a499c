"""Is an optimized image what its unit looks for?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed, proportion_interval

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._kernel_optimum import FirstLayer
    from cnnaudit.checks.fidelity._neuron_optimum import Optima, Shape
    from cnnaudit.target import AuditTarget


COSINE = 0.99
MOST_PIXELS = 64 * 224 * 224  # of real images that the optima are compared with


@check(
    question="Is an optimized image what its unit looks for?",
    statistic="share of units whose optimum is what it should be",
    unit="share of units",
    direction="at_least",
    tolerance=0.7,
    gate=False,
    remedy="Do not read optimized images of this model, nor any map made from its gradient: ascent along that gradient "
    "does not find what its units answer to. Look for rounding, saturation, a detached tensor or a reversed gradient "
    "between the pixels and the units named here.",
    reference="Erhan et al., Visualizing higher-layer features of a deep network, 2009; Lees, Strategies for "
    "extracting knowledge from convolutional deep learning architectures, 2017",
    needs=("validation", "inside"),
)
def neuron_optimum(context: CheckContext) -> list[Finding]:
    """The share of units whose optimum, found by gradient ascent, is what it should be; two findings.

    `first_layer`: one position of a filter of the first convolution, before the ReLU, is linear in the pixels, b +
    <w, I - 1/2>, so that under a norm bound (and no box) its optimum is w / |w|. Counted are the filters whose optimum
    has a cosine above .99 with w, which is measured without gradients, pixel by pixel. At most 32 filters.

    `deeper`: the middle and the last convolution behind the first (the logits too where there are fewer than two), at
    most 16 random units each, from 3 starts, on images of up to 64 pixels; 8 from one start on larger ones (two starts
    above `quick`), in images of at most 96 pixels where the model takes them; twice as many units at `standard`, four
    times at `deep`. Counted are the units with an image that, rounded to 8 bits as in a PNG and moved by two pixels in
    the worst of four directions, is as high as every real image of the sample (in the whole map; up to 5 % of the way
    from gray to the best image, which may be an optimum itself). How many of the starts lead there, and how alike their
    images are, stands in the table.

    The unit of replication is the network's unit: the interval is the exact binomial one over units, and the share
    itself where all units of those layers were asked.

    Tolerance: where 16 sampled units all hold, the interval begins at .76 (at the confidence of one of two findings):
    rounded outward to one digit, .7. Of 80 clean networks 99 % measure at least .88, the planted defects at most .33.
    """
    target = context.target
    import torch

    from cnnaudit.checks.fidelity._neuron_optimum import layers_of, size_of

    if getattr(target.model, "batch", None) not in (None, 1):
        raise UnsupportedError("the model takes batches of one size only, and optimized images leave the batch")
    images = _real(context)
    some = images[:1].to(target.device)
    first, deeper = layers_of(target.model, some)
    shape = size_of(target.model, (images.shape[1], images.shape[2], images.shape[3]), deeper)
    if not _differentiable(target, deeper[-1], torch.full((1, *shape), 0.5)):
        raise UnsupportedError("the model is not differentiable, so that no image can be optimized for it")
    return [_first(context.among(2), first, shape), _deeper(context.among(2), images, deeper, shape)]


def _real(context: CheckContext) -> Any:
    """The images of the context, as many as 64 photographs of 224 x 224 have pixels."""
    images, _ = context.sample("validation")
    count = max(16, MOST_PIXELS // (images.shape[2] * images.shape[3]))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]


def _differentiable(target: AuditTarget, layer: str, image: Any) -> bool:
    """Whether the layer's answer hangs on the image by gradients at all."""
    import torch

    from cnnaudit.interventions import run_until
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.optimization import LOGITS

    given = image.to(target.device).requires_grad_(True)
    with torch.enable_grad(), evaluating(target.model):
        answer = target.model(given) if layer == LOGITS else run_until(target.model, given, layer)
        return bool(answer.requires_grad) and torch.autograd.grad(answer.sum(), given, allow_unused=True)[0] is not None


def _first(context: CheckContext, layer: str, shape: Shape) -> Finding:
    """Whether optima of the first layer are its kernels."""
    from cnnaudit.checks.fidelity._kernel_optimum import first_layer

    try:
        found = first_layer(context.target.model, layer, shape, 32 * _factor(context), context.generator("filters"))
    except UnsupportedError as reason:
        return context.not_applicable(str(reason), part="first_layer")
    asked = np.isfinite(found.cosines)
    n = int(asked.sum())
    if not n:
        return context.not_applicable(f"every filter of {layer} is 0", part="first_layer")
    good = int((found.cosines[asked] > COSINE).sum())
    worst = int(np.nanargmin(found.cosines))
    return context.judge(
        good / n,
        _interval(good, n, len(found.units) == found.filters, context),
        n=n,
        n_unit="filters",
        part="first_layer",
        summary=f"The optimum of {good} of {n} filters of {layer} is the filter's kernel (cosine above {COSINE}); the "
        f"median cosine is {np.nanmedian(found.cosines):.4f}, the lowest {found.cosines[worst]:.4f}.",
        locations=[
            Location(float(found.cosines[k]), layer=layer, unit=int(found.units[k]))
            for k in np.argsort(found.cosines)
            if found.cosines[k] <= COSINE
        ][:24],
        evidence=_first_evidence(found),
    )


def _deeper(context: CheckContext, images: Any, layers: list[str], shape: Shape) -> Finding:
    """Whether optima of deeper units are above every real image and survive a file and a small shift."""
    from cnnaudit.checks.fidelity._neuron_optimum import SMALL, optima

    target, small = context.target, max(shape[1:]) <= SMALL
    more = _factor(context)
    units, starts = (16, 3) if small else (8, min(more, 2))
    units *= more
    seed = derive_seed(context.seed, target.name, context.check.id)
    found = [optima(target.model, images, layer, shape, units, starts=starts, seed=seed) for layer in layers]
    holds = [layer.reached.any(axis=0) for layer in found]
    relative = [layer.relative(layer.of_optimum(layer.moved)) for layer in found]
    good, n = int(np.concatenate(holds).sum()), len(np.concatenate(holds))
    known = np.concatenate(relative)
    height = float(np.median(known[np.isfinite(known)])) if np.isfinite(known).any() else 0.0
    every = all(len(layer.units) == layer.population for layer in found)
    return context.judge(
        good / n,
        _interval(good, n, every, context),
        n=n,
        n_unit="units",
        part="deeper",
        summary=f"{good} of {n} units of {' and '.join(layers)} answer to their optimized image, saved with 8 bits and "
        f"moved by two pixels, at least as strongly as to each of {len(images)} real images; where 0 is the typical "
        f"real image and 1 the best, the median height is {height:.1f}.",
        locations=[
            Location(float(np.nan_to_num(values[k])), layer=layer.layer, unit=int(layer.units[k]))
            for layer, values, held in zip(found, relative, holds)
            for k in np.flatnonzero(~held)
        ][:24],
        evidence=_deeper_evidence(found, images),
    )


def _factor(context: CheckContext) -> int:
    """How many times more units than at quick."""
    return 4 if context.profile.images is None else min(4, max(1, context.profile.images // 1000))


def _interval(good: int, n: int, every: bool, context: CheckContext) -> tuple[float, float]:
    """Exact binomial over units; the share itself where all were asked, since nothing was sampled."""
    return (good / n, good / n) if every else proportion_interval(good, n, context.confidence)


def _first_evidence(found: FirstLayer) -> list[Evidence]:
    """Kernels beside optima, each stretched around gray."""
    rows = np.unique(np.linspace(0, len(found.units) - 1, min(12, len(found.units))).astype(int))
    pairs = [part[k].numpy() for k in rows for part in (found.kernels, found.optima)]
    captions = [f"{what} {found.units[k]}" for k in rows for what in ("kernel", "optimum")]
    cosines = {f"filter {u}": float(c) for u, c in zip(found.units, found.cosines) if np.isfinite(c)}
    title = "Kernels beside the images that gradient ascent finds for them"
    shown = (
        []
        if found.kernels.shape[1] not in (1, 3)
        else [evidence.images(title, np.stack([_drawn(p) for p in pairs]), captions)]
    )
    lowest = dict(sorted(cosines.items(), key=lambda item: item[1])[:24])
    return [
        *shown,
        evidence.bars("Cosine of optimum and kernel, lowest first", lowest, label="cosine", tolerance=COSINE),
    ]


def _drawn(kernel: np.ndarray) -> np.ndarray:
    """A kernel around gray, enlarged to about 56 pixels by repetition."""
    scaled = 0.5 + 0.5 * kernel / max(float(np.abs(kernel).max()), 1e-12)
    times = max(1, 56 // max(kernel.shape[1:]))
    return np.asarray(scaled.repeat(times, axis=1).repeat(times, axis=2))


def _deeper_evidence(found: list[Optima], images: Any) -> list[Evidence]:
    """The heights by layer, and optima beside the best real images."""
    columns = ["layer", "units asked", "of", "hold", "starts that lead there", "rise kept in 8 bits"]
    columns += ["rise kept when moved", "correlation of two images", "units nothing moved", "running best never fell"]
    table = evidence.table("Optimized images (medians over units)", columns, [_row(layer) for layer in found])
    kinds = {"optimum": "height", "8 bits": "coded", "8 bits and moved": "moved"}
    spread = {
        f"{layer.layer}: {name}": values[np.isfinite(values)]
        for layer in found
        for name, kind in kinds.items()
        for values in [layer.relative(layer.of_optimum(getattr(layer, kind)))]
        if np.isfinite(values).any()
    }
    title = "Height of optimized images: 0 is the typical real image, 1 the best"
    boxes = [evidence.boxes(title, spread, label="height")] if spread else []
    return [table, *boxes, *(picture for layer in found for picture in _pictures(layer, images))]


def _row(layer: Optima) -> list[Any]:
    """What a layer's units came to; rises count from a gray image."""
    rise = layer.of_optimum(layer.height) - layer.gray
    kept = [
        float(np.median(np.divide(layer.of_optimum(h) - layer.gray, rise, out=np.zeros_like(rise), where=rise > 0)))
        for h in (layer.coded, layer.moved)
    ]
    return [
        *(layer.layer, len(layer.units), layer.population, int(layer.reached.any(axis=0).sum())),
        f"{layer.reached.mean():.0%}",
        *(round(value, 3) for value in kept),
        *(layer.likeness, int(layer.dead.sum()), layer.rising),
    ]


def _pictures(layer: Optima, images: Any) -> list[Evidence]:
    """Optima of a few units, each beside the real image that moves the unit most."""
    from torch.nn.functional import interpolate

    if images.shape[1] not in (1, 3):
        return []
    rows = np.unique(np.linspace(0, len(layer.units) - 1, min(8, len(layer.units))).astype(int))
    real = interpolate(images[layer.best_image[rows]], layer.images.shape[3:])
    optima = [layer.images[layer.optimum[row], row] for row in rows]
    pairs = [picture.numpy() for pair in zip(optima, real) for picture in pair]
    relative = layer.relative(layer.of_optimum(layer.height))
    captions = [c for row in rows for c in (f"unit {layer.units[row]}: {relative[row]:.1f}", "best real image: 1")]
    title = f"{layer.layer}: optimized images with their height, beside the best real image"
    return [evidence.images(title, np.stack(pairs), captions)]


Entrance = Literal["open", "reversed", "half", "rounded"]


def entrance(seed: int, kind: Entrance = "open") -> AuditTarget:
    """A network of random weights that answers to digits, with something between the pixels and its first layer.

    `open`: nothing. `reversed`: a gradient reversal layer, as domain adaptation trains with, left in. `half`: every
    second pixel detached. `rounded`: pixels rounded to 16 levels, whose gradient is 0. The answers of the first three
    are the same bit by bit.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    class Entrance(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if kind == "reversed":
                return _reversed(images)
            if kind == "half":
                rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
                return torch.where((rows[:, None] + columns) % 2 == 0, images, images.detach())
            return (images * 15).round() / 15 if kind == "rounded" else images

    layers = nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2)
    network = nn.Sequential(Entrance(), *layers, nn.Flatten(), nn.Linear(200, 4))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                spread = (2 / layer.weight[0].numel()) ** 0.5
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=rng))
                layer.bias.zero_()  # type: ignore[union-attr]
    data = digits("validation")
    split = {"validation": (data.images[:200], data.labels[:200] % 4)}
    return AuditTarget.from_arrays(f"planted: entrance {kind}", network, split, classes=tuple("0123"))


def _reversed(images: torch.Tensor) -> torch.Tensor:
    """The images, with the sign of their gradient reversed."""
    copy = images.detach()
    return 2 * copy - images


PLANTS = [
    Plant("a gradient reversal layer left in", partial(entrance, kind="reversed"), entrance, part="first_layer"),
    Plant("pixels are rounded to 16 levels", partial(entrance, kind="rounded"), entrance, part="deeper"),
]


POPULATIONS = ordinary(seeds=60)
