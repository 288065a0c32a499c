"""How many units look for the border of the image?

With zero padding a unit can learn where the image ends. The audit looks for kernels whose lines differ, and confirms
each unit by an experiment: noise in place of the padding silences it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.units._kernel_pictures import SHOWN, picture
from cnnaudit.checks.units._two_convolutions import FIRST, PLANTED, network, on_digits
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
    from cnnaudit.units import LayerKernels, NoisePadding

IMAGES = 16  # of the duality experiment
MANY = 100  # weights of a kernel's line from which lines without order stay far below the published threshold


FEWEST_BORDER = 36  # units of which none is found, for an interval inside .1 at 95 %


@check(
    question="How many units look for the border of the image?",
    statistic="share of units whose kernel rows or columns differ, and which noise in place of the padding silences",
    unit="share of units",
    direction="at_most",
    tolerance=0.1,
    gate=False,
    remedy="Where the border means nothing, pad by replicating the edge (padding_mode='replicate') and train again; "
    "see padding.border_response for what the border does to the responses.",
    reference="Garriga, Studying the characterisation of deep CNN neurons, 2019",
    needs=("validation", "inside"),
)
def border_aware(context: CheckContext) -> Finding:
    """The share of border-aware units among those of all padded convolutions with kernels of 3 rows or columns.

    A unit is border-aware where, for its rows or its columns, the largest minus the smallest Kolmogorov-Smirnov
    distance of two lines (over all inputs, `cnnaudit.units.border`) is .5 or more, as published, and above that of
    99 % of kernels with permuted positions, which matters for lines of few weights; and where the duality experiment
    confirms it (`cnnaudit.units.noise_padding`, 16 images): at its side it responds at least twice as much as inside,
    noise in place of the padding takes more than half of that away, noise inside does not. The interval is the exact
    binomial one over units. Lines of so few weights that permuted ones reach 1 cannot be judged.

    Tolerance: of random kernels and of trained networks 99 % measure at most .016 (nearly all 0), and the exact
    interval of their 64 units reaches .084 then: .1.
    """
    target = context.target
    from cnnaudit.units._noise_padding import noise_padding_of_layers, rings_of
    from cnnaudit.units.border import border_layers, layers_without_border

    images, _ = context.sample("validation")
    few = images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)].to(target.device)
    tested = [_lines(layer, context.seed) for layer in border_layers(target.model, few[:1])]
    with_interior = rings_of(target.model, few)
    able = [lines for lines in tested if lines.bound <= 1 and lines.kernels.layer in with_interior]
    units = sum(lines.kernels.units for lines in able)
    if units < FEWEST_BORDER:
        raise UnsupportedError(
            f"{units} unit{'s' * (units != 1)} of padded convolutions with 3 rows or columns of enough weights can be "
            f"judged; a share of a tenth takes {FEWEST_BORDER}"
        )
    differing = [lines.kernels.layer for lines in able if len(lines.found)]
    experiments = noise_padding_of_layers(target.model, few, differing, seed=context.seed) if differing else []
    measured = {experiment.layer: experiment for experiment in experiments}
    found = [_Found(lines, measured.get(lines.kernels.layer)) for lines in able]
    confirmed = sum(len(layer.confirmed) for layer in found)
    differ = sum(len(layer.lines.found) for layer in found)
    return context.judge_share(
        confirmed,
        units,
        n_unit="units",
        summary=f"{confirmed} of {units} units of {len(found)} padded convolutions look for the border: the rows or "
        f"columns of {differ or 'none'} differ by .5 or more"
        + (f", and noise in place of the padding silences {confirmed} of these." if differ else "."),
        locations=[
            Location(len(layer.confirmed) / layer.lines.kernels.units, layer=layer.lines.kernels.layer)
            for layer in found
            if len(layer.confirmed)
        ][:SHOWN],
        evidence=[
            *_border_evidence(found, context),
            *_left_out(layers_without_border(target.model, few[:1]), tested, able),
        ],
    )


@dataclass(frozen=True, eq=False)
class _Lines:
    """A layer, how much the lines of its units differ, and how much they must."""

    kernels: LayerKernels
    both: np.ndarray
    values: np.ndarray
    null: np.ndarray
    bound: float

    @property
    def found(self) -> np.ndarray:
        """The units whose rows or columns differ."""
        return np.flatnonzero(self.values >= self.bound)

    @property
    def weights(self) -> int:
        """Weights of a line, the fewer of the two directions that have lines."""
        return _line_weights(self.kernels)


def _line_weights(layer: LayerKernels) -> int:
    from cnnaudit.units.border import LINES

    height, width = layer.size
    return layer.inputs * min(other for own, other in ((height, width), (width, height)) if own >= LINES)


def _lines(layer: LayerKernels, seed: int) -> _Lines:
    """The statistic of a layer's units beside that of permuted kernels: few of them where chance is far off."""
    from cnnaudit.units.border import DRAWS, border_distances, calibrated, permuted_distances

    few = _line_weights(layer) < MANY
    distances = border_distances(layer.weights)
    null = permuted_distances(layer, "or", seed, DRAWS if few else 1)
    bound = max(0.5, calibrated(null)) if few else 0.5
    return _Lines(layer, distances.joined("and"), distances.joined("or"), null, bound)


@dataclass(frozen=True, eq=False)
class _Found:
    """A layer's lines with what the experiment says."""

    lines: _Lines
    duality: NoisePadding | None

    @property
    def confirmed(self) -> np.ndarray:
        """The units whose lines differ and that the experiment confirms; it is made where lines differ."""
        if self.duality is None:
            return self.lines.found
        return np.asarray(self.lines.found[self.duality.confirmed[self.lines.found]])


def _border_evidence(found: list[_Found], context: CheckContext) -> list[Evidence]:
    """The table of the layers, the units found with their responses, their kernels, the null of the worst layer."""
    from cnnaudit.units.shares import layer_share

    rows, units = [], []
    for layer in found:
        lines, name = layer.lines, layer.lines.kernels.layer
        share = layer_share(name, lines.kernels.units, layer.confirmed, confidence=context.confidence)
        low, high = share.interval
        rows.append(
            [
                name,
                share.units,
                int((lines.both >= lines.bound).sum()),
                len(lines.found),
                len(share.found),
                f"{share.share:.1%} ({low:.1%} to {high:.1%})",
                f"{np.mean(lines.null >= lines.bound):.1%}",
            ]
        )
        units += [(layer, int(unit)) for unit in lines.found]
    columns = ["layer", "units", "rows and columns", "rows or columns", "silenced too", "share", "permuted kernels"]
    units = sorted(units, key=lambda pair: -pair[0].lines.values[pair[1]])[:SHOWN]
    worst = max(found, key=lambda layer: layer.lines.values.max()).lines
    return [
        evidence.table(
            "Units whose kernel lines differ by .5 or more, and that noise in the padding silences", columns, rows
        ),
        *_responses(units),
        evidence.null_distribution(
            f"Largest less smallest distance of kernel lines in {worst.kernels.layer}, with positions permuted",
            worst.null,
            float(worst.values.max()),
            label="Kolmogorov-Smirnov distance",
            tolerance=worst.bound,
        ),
    ]


def _left_out(reasons: dict[str, str], tested: list[_Lines], able: list[_Lines]) -> list[Evidence]:
    """The layers that were left out, counted by reason."""
    too_small = len(tested) - len(able)
    rows: list[list[object]] = [[reason, count] for reason, count in Counter(reasons.values()).most_common()]
    rows += [["too few weights in a line, or a map that is all border", too_small]] if too_small else []
    return [evidence.table("Layers that were left out", ["reason", "layers"], rows)] if rows else []


def _responses(units: list[tuple[_Found, int]]) -> list[Evidence]:
    """How the units whose lines differ respond in the experiment, and their averaged kernels."""
    if not units:
        return []
    rows = []
    for layer, unit in units:
        assert layer.duality is not None
        means = (layer.duality.border, layer.duality.interior, layer.duality.noise_padding, layer.duality.noise_inside)
        values = [float(f"{mean[unit]:.3g}") for mean in means]
        name = layer.lines.kernels.layer
        side = str(layer.duality.sides[unit])
        rows.append([name, unit, side, round(float(layer.lines.values[unit]), 2), *values, unit in layer.confirmed])
    columns = ["layer", "unit", "side", "distance", "at the side", "inside", "side, noise as padding"]
    columns += ["side, noise inside", "confirmed"]
    captions = [f"{layer.lines.kernels.layer}, unit {unit}" for layer, unit in units]
    pictures = [picture(layer.lines.kernels.averaged()[unit]) for layer, unit in units]
    return [
        evidence.table("Responses of these units", columns, rows),
        evidence.images("Their kernels, averaged over the inputs (dark: negative)", np.stack(pictures), captions),
    ]


def border_units(seed: int, planted: bool) -> AuditTarget:
    """Two padded convolutions of random kernels; half of the second's units look for a side of the image, or none.

    Such a kernel has a line of negative weights at a side of the square and positive ones elsewhere, so that it
    responds where that line sees the padding. On black digits on white, whose background the first layer responds to.
    """
    import torch
    from torch import nn

    model = network(seed, channels=1)
    second = model[2]
    assert isinstance(second, nn.Conv2d)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for unit in range(PLANTED if planted else 0):
            kernel = torch.rand(FIRST, 3, 3, generator=rng) * 0.1 + 0.05
            kernel[:, 0] = -0.4 - 0.1 * torch.rand(FIRST, 3, generator=rng)
            second.weight[unit] = kernel.rot90(unit % 4, (1, 2))
    return on_digits("border units" if planted else "random kernels", model, seed)


PLANTS = [
    Plant(
        "half of a layer looks for a side of the image",
        partial(border_units, planted=True),
        partial(border_units, planted=False),
    ),
]


POPULATIONS = [*ordinary(seeds=300), Population("random kernels", partial(border_units, planted=False), 20)]
