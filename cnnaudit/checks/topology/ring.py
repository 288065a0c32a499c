"""Is there a loop in kernel space beyond what initialization noise and a covariance-matched Gaussian give?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
    from cnnaudit.topology import Ring
    from cnnaudit.units import LayerKernels

FEWEST_KERNELS = 200
LAYERS = 4  # at quick
DRAWS, RESAMPLES, LANDMARKS = 5, 20, 120
COVERS = tuple((bins, overlap) for bins in (4, 5, 6) for overlap in (0.1, 0.3))
SHOWN = 24
_COUNTS = ("nodes", "betti", "longest")


@check(
    question="Is there a loop in kernel space beyond what initialization noise and a covariance-matched Gaussian give?",
    statistic="lifetime of the longest loop of kernels, less that of the nearest null",
    unit="share of a circle's lifetime",
    direction="at_most",
    tolerance=0.12,
    gate=False,
    remedy="Nothing needs repair: kernels of this layer are one pattern at many angles. Look at them around the ring "
    "below; a layer of turned copies (a steerable or group convolution) may hold the same with fewer weights.",
    reference="Garriga, Studying the characterisation of deep CNN neurons, 2019; Carlsson and Brüel Gabrielsson, "
    "Topological approaches to deep learning, 2018",
    needs=("validation", "inside"),
)
def ring(context: CheckContext) -> list[Finding]:
    """The longest lifetime in the first persistent homology of a layer's kernels, beyond three nulls; one per layer.

    Kernels lose their mean and are divided by their norm, the densest .3 of at most 4,000 are kept, and 120 landmarks
    of them give the persistent homology (`cnnaudit.topology.ring`). The statistic is (median lifetime over 5 draws -
    median lifetime of the nearest null) / sqrt(3), where a circle of radius 1 lives sqrt(3). The nulls, 20 clouds of
    each, are kernels of independent Gaussian weights, a Gaussian of the layer's mean and covariance, and Student's t of
    its shape, for layers of which a few large kernels decide the covariance: a ring that two large eigenvalues make by
    themselves is no finding. The interval is Student's, on the standard deviation over draws and over the null's clouds
    together; p is the largest of the three (b + 1) / 21.

    Layers of at least 200 kernels of 3 x 3 weights or more; of more than 4 layers, 4 in equal steps through the
    network (8 at `standard`, all at `deep`).

    Tolerance: of networks with untrained kernels, with Gaussian and heavy-tailed ones of random covariance, and with
    rings that the covariance makes, 99 % measure at most .077; rounded outward to .08, plus the .04 that the interval
    of untrained kernels reaches to either side. What it cannot see: a slope at many angles has its ring by its
    covariance alone, and where a third of the kernels are such a slope at a signal-to-noise of 4 and the others noise,
    the check finds 14 of 20 and leaves 6 undecided.
    """
    target = context.target
    from cnnaudit.topology import ring
    from cnnaudit.topology.nulls import Settings
    from cnnaudit.units import kernels

    images, _ = context.sample("validation")
    layers = _chosen(context, kernels(target.model, images[:1].to(target.device)))
    seed = derive_seed(context.seed, target.name, context.check.id)
    settings = Settings(landmarks=LANDMARKS)
    return [
        _judged(
            context.among(len(layers)),
            layer,
            ring(layer.each(), draws=DRAWS, resamples=RESAMPLES, settings=settings, seed=seed, covers=COVERS),
        )
        for layer in layers
    ]


def _chosen(context: CheckContext, layers: list[LayerKernels]) -> list[LayerKernels]:
    """The layers to look at."""
    from cnnaudit.topology.nulls import directions

    square = [layer for layer in layers if min(layer.size) >= 3]
    if not square:
        raise UnsupportedError("no convolution has kernels of 3 x 3 weights or more")
    counts = [len(directions(layer.each().astype(np.float64))[1]) for layer in square]
    large = [layer for layer, count in zip(square, counts) if count >= FEWEST_KERNELS]
    if not large:
        raise UnsupportedError(
            f"no layer has {FEWEST_KERNELS} kernels of 3 x 3 weights or more that are not constant, the largest has "
            f"{max(counts)}: fewer leave gaps in any loop"
        )
    limit = {"quick": LAYERS, "standard": 2 * LAYERS}.get(context.profile.name, len(large))
    return [large[k] for k in np.unique(np.linspace(0, len(large) - 1, min(limit, len(large))).round().astype(int))]


def _judged(context: CheckContext, layer: LayerKernels, found: Ring) -> Finding:
    """The finding of one layer."""
    from cnnaudit.topology._ring import LARGEST

    statistic, half = found.excess, _half_width(context, found)
    null = found.null[found.nearest]
    return context.judge(
        statistic,
        (statistic - half, statistic + half),
        n=found.kernels,
        n_unit="kernels",
        part=layer.layer,
        p_value=found.p_value,
        summary=f"The longest loop of the {found.kernels:,} {layer.size[0]} x {layer.size[1]} kernels of {layer.layer} "
        f"lives {found.relative:.2f} of a circle's lifetime, that of the nearest null ({found.nearest}) "
        f"{np.median(null) / LARGEST:.2f}; half of the Mapper graphs hold a loop of "
        f"{f'{found.stable_loop} edges' if found.stable_loop else 'no more than three edges'}.",
        locations=[Location(float(statistic), layer=layer.layer)],
        evidence=_evidence(context, layer, found),
    )


def _half_width(context: CheckContext, found: Ring) -> float:
    """Of Student's interval of the excess: the spread of draws and of the null's clouds together."""
    from scipy.stats import t

    from cnnaudit.topology._ring import LARGEST

    null = found.null[found.nearest]
    deviation = float(np.hypot(found.lifetimes.std(ddof=1), null.std(ddof=1)))
    return float(t.ppf((1 + context.confidence) / 2, len(null) - 1)) * deviation / LARGEST


def _evidence(context: CheckContext, layer: LayerKernels, found: Ring) -> list[Evidence]:
    """The nulls with the lifetime, kernels around the loop, and the Mapper graphs."""
    from cnnaudit.topology._graph_loops import stable_loop
    from cnnaudit.topology._ring import LARGEST, around

    shown = [
        evidence.null_distribution(
            f"{layer.layer}: lifetimes of {name} (p = {found.p_values[name]:.2g})",
            lifetimes / LARGEST,
            found.relative,
            label="share of a circle's lifetime",
        )
        for name, lifetimes in found.null.items()
    ]
    rows = around(found, layer.each(), SHOWN)
    if found.coordinates is not None and len(rows):
        captions = [f"{np.degrees(found.coordinates[row]):.0f}°, unit {layer.unit_of(row)}" for row in rows]
        title = f"{layer.layer}: kernels around its longest loop (gray: 0, white: positive)"
        shown.append(evidence.images(title, _drawn(layer.each()[rows], layer.size), captions))
    graphs = {"this layer": found.graphs, **found.null_graphs}
    table = [
        [name, *(round(float(np.median([getattr(g, of) for g in some])), 1) for of in _COUNTS), stable_loop(some)]
        for name, some in graphs.items()
    ]
    columns = ["kernels", "nodes", "independent loops", "longest loop", "in half of the graphs"]
    shown.append(evidence.table(f"Mapper graphs of {len(found.graphs)} covers (medians; edges)", columns, table))
    return shown


def _drawn(kernels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Kernels around gray, enlarged to about 56 pixels: (n, 1, h, w)."""
    scale = np.abs(kernels).max(1, keepdims=True)
    pictures = (0.5 + 0.5 * kernels / np.maximum(scale, 1e-12)).reshape(-1, 1, *size)
    times = max(1, 56 // max(size))
    return np.asarray(pictures.repeat(times, axis=2).repeat(times, axis=3))


WIDTH = 40  # channels: the second layer has 1,600 kernels


def ring_of_edges(seed: int, kind: str, gaussian: bool = False) -> AuditTarget:
    """Kernels of turned edges, or Gaussian ones of the same mean and covariance.

    `bent` and `faint`: all kernels are a bent edge at a signal-to-noise of 2 and of 1. `plane`: all are a plane edge at
    2, whose ring is a fact of the covariance.
    """
    from cnnaudit.topology.synthetic_ring import synthetic_ring

    rng = generator("planted", "topology", seed, kind)
    n = WIDTH * WIDTH
    found = synthetic_ring(n, 1.0 if kind == "faint" else 2.0, rng, "plane" if kind == "plane" else "bent")
    if gaussian:
        found = rng.multivariate_normal(found.mean(0), np.cov(found.T), n)
    return _target(f"{'Gaussian of ' if gaussian else ''}turned edges, {kind}", rng.permutation(found), rng)


def gaussian_kernels(seed: int, heavy: bool = False) -> AuditTarget:
    """Gaussian kernels of a random covariance whose eigenvalues fall from 1 at a random pace.

    `heavy`: each kernel times a random scale with the tail of Student's t of 3 degrees of freedom, as kernels have
    when units differ in size; their directions stay the same.
    """
    rng = generator("planted", "topology", seed, "gaussian", heavy)
    basis = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    scale = np.exp(-rng.uniform(0, 0.4) * np.arange(9))
    found = rng.normal(size=(WIDTH * WIDTH, 9)) * scale @ basis
    if heavy:
        found *= np.sqrt(3 / rng.chisquare(3, len(found)))[:, None]
    return _target(f"{'heavy-tailed' if heavy else 'Gaussian'} kernels", found, rng)


def untrained(seed: int) -> AuditTarget:
    """Kernels as PyTorch initializes them."""
    rng = generator("planted", "topology", seed, "untrained")
    return _target("untrained kernels", rng.uniform(-1, 1, (WIDTH * WIDTH, 9)) / 3, rng)


def _target(name: str, kernels: np.ndarray, rng: np.random.Generator) -> AuditTarget:
    """A network with these kernels in its second layer, and images that it is not trained for."""
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    network = nn.Sequential(
        nn.Conv2d(1, WIDTH, 3),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTH, 2),
    )
    layer = network[2]
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernels).reshape(layer.weight.shape))
    images = rng.random((16, 1, 12, 12), dtype=np.float32)
    return AuditTarget.from_arrays(
        f"planted: {name}", network, {"validation": (images, np.arange(16) % 2)}, classes=("a", "b")
    )


PLANTS = [
    *(
        Plant(words, partial(ring_of_edges, kind=kind), partial(ring_of_edges, kind=kind, gaussian=True))
        for kind, words in (
            ("bent", "all kernels are one sharp edge at many angles, at a signal-to-noise of 2"),
            ("faint", "all kernels are one sharp edge at many angles, at a signal-to-noise of 1"),
        )
    ),
]


POPULATIONS = [
    Population("untrained kernels", untrained, seeds=10),
    Population("Gaussian kernels", gaussian_kernels, seeds=20),
    Population("heavy-tailed kernels", partial(gaussian_kernels, heavy=True), seeds=10),
    Population("a ring that the covariance makes", partial(ring_of_edges, kind="plane"), seeds=10),
]
