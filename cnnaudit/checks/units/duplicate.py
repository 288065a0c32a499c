"""How many units are copies of one another?

A unit whose kernel is a rotated, flipped or negated copy of another's adds little. The audit counts such units in every
layer and shows the pairs that are most alike.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.units._kernel_pictures import SHOWN, picture
from cnnaudit.checks.units._two_convolutions import PLANTED, SECOND, network, on_digits
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
    from cnnaudit.units import Copy, LayerKernels, LayerShare

FEWEST_PAIRS = 24  # units: the exact interval of that many without a copy reaches .143


@check(
    question="How many units are copies of one another?",
    statistic="share of units with a copy in their layer, up to sign, rotation and flip",
    unit="share of units",
    direction="at_most",
    tolerance=0.15,
    gate=False,
    remedy="Give the layers named here fewer units, or prune one of each pair: a copy adds little. Copies up to "
    "rotation may also be shared by a convolution that rotates its kernels.",
    reference="Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017",
    needs=("validation", "inside"),
)
def duplicate(context: CheckContext) -> Finding:
    """The share of units with a copy in their layer, over all layers with kernels larger than one pixel.

    A copy has a correlation of .9 or more over all weights of the unit, at best over the eight symmetries of the
    square and the sign, and above that of every pair in 20 copies of the layer with the positions in each kernel
    permuted (`cnnaudit.units.duplicates`): 3x3 kernels of one input are alike by chance. The interval is the exact
    binomial one over units.

    Tolerance: of random kernels and of trained networks 99 % measure at most .031 (nearly all 0), and the exact
    interval of their 64 units reaches .11 then; that of 24 units without a copy reaches .143: .15.
    """
    from cnnaudit.units import copies, duplicates
    from cnnaudit.units._duplicates import COPY, pair_layers

    images, _ = context.sample("validation")
    image = images[:1].to(context.target.device)
    shares = duplicates(context.target.model, COPY, image, confidence=context.confidence, seed=context.seed)
    units, found = sum(share.units for share in shares), sum(len(share.found) for share in shares)
    if units < FEWEST_PAIRS:
        raise UnsupportedError(f"{units} units can have a copy in their layer; at least {FEWEST_PAIRS} are needed")
    layers = {layer.layer: layer for layer in pair_layers(context.target.model, image)}
    pairs = [pair for share in shares if share.found for pair in copies(layers[share.layer], COPY, context.seed, SHOWN)]
    worst = max(shares, key=lambda share: share.share)
    where = f", most in layer {worst.layer} ({len(worst.found)} of {worst.units})" if worst.found else ""
    return context.judge_share(
        found,
        units,
        n_unit="units",
        summary=f"{found} of {units} units of {len(shares)} layers have a copy in their layer, up to sign, rotation "
        f"and flip{where}.",
        locations=[Location(share.share, layer=share.layer) for share in shares if share.found][:SHOWN],
        evidence=_copy_evidence(shares, pairs, layers),
    )


def _copy_evidence(shares: list[LayerShare], pairs: list[Copy], layers: dict[str, LayerKernels]) -> list[Evidence]:
    """The table of the layers, and the pairs most alike with their kernels."""
    rows = [
        [s.layer, s.units, len(s.found), f"{s.share:.1%} ({s.interval[0]:.1%} to {s.interval[1]:.1%})", f"{s.null:.1%}"]
        for s in shares
    ]
    columns = ["layer", "units", "with a copy", "share", "correlation of .9, permuted kernels"]
    found = [evidence.table("Units with a copy, by layer", columns, rows)]
    if not pairs:
        return found
    pairs = sorted(pairs, key=lambda pair: -abs(pair.correlation))[:SHOWN]
    listed = [[p.layer, p.unit, p.other, round(p.correlation, 3), p.symmetry or "none"] for p in pairs]
    averaged = {name: layers[name].averaged() for name in {pair.layer for pair in pairs}}
    pictures = [
        np.concatenate([picture(averaged[pair.layer][unit]) for unit in (pair.unit, pair.other)], axis=2)
        for pair in pairs
    ]
    captions = [f"{pair.layer}, units {pair.unit} and {pair.other}" for pair in pairs]
    return [
        *found,
        evidence.table("The pairs most alike", ["layer", "unit", "other", "correlation", "the other is"], listed),
        evidence.images("Their kernels, averaged over the inputs (dark: negative)", np.stack(pictures), captions),
    ]


def copied_units(seed: int, planted: bool, noise: float = 0.2) -> AuditTarget:
    """Two convolutions of random kernels; half of the second's units are copies of the other half, or none.

    Each copy is rotated, flipped, scaled and perhaps negated, with noise of that share of its spread.
    """
    import torch
    from torch import nn

    model = network(seed, channels=1)
    second, rng = model[2], np.random.default_rng(seed)
    assert isinstance(second, nn.Conv2d)
    with torch.no_grad():
        for unit in range(PLANTED if planted else 0):
            source = second.weight[SECOND - 1 - unit]
            copied = source.rot90(int(rng.integers(4)), (1, 2))
            copied = copied.flip(2) if rng.random() < 0.5 else copied
            added = torch.from_numpy(rng.normal(0, noise * float(source.std()), source.shape)).float()
            second.weight[unit] = float(rng.choice([-1, 1]) * rng.uniform(0.5, 2)) * (copied + added)
    return on_digits("copied units" if planted else "random kernels", model, seed)


PLANTS = [
    Plant(
        "half of a layer are rotated, flipped and negated copies of the other half",
        partial(copied_units, planted=True),
        partial(copied_units, planted=False),
    ),
]


POPULATIONS = [*ordinary(seeds=300), Population("random kernels", partial(copied_units, planted=False), 20)]
