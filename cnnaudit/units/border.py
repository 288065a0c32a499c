"""Units that look for the border of the image: their kernels' rows or columns differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.core.statistics import generator
from cnnaudit.units._kernels import LayerKernels, kernels
from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import torch
    from torch import nn

Rule = Literal["and", "or"]
LINES = 3  # a line at the border differs from the others only where there are two others, which agree
CHANCE = 0.01  # share of permuted kernels above the calibrated threshold
DRAWS = 2_000  # permuted kernels of a layer, at least
_AT_ONCE = 2**21  # weights that are sorted at once


@dataclass(frozen=True, eq=False)
class BorderDistances:
    """How much the lines of each unit's kernels differ.

    Attributes:
        rows: (units,) largest minus smallest Kolmogorov-Smirnov distance of two rows; NaN with fewer than 3 rows.
        columns: the same of the columns.
    """

    rows: np.ndarray
    columns: np.ndarray

    def joined(self, rule: Rule) -> np.ndarray:
        """The number that is compared with a threshold: the smaller of the two for `and`, the larger for `or`.

        Where the kernels have 3 lines in one direction only, it is that one's.
        """
        both = np.stack([self.rows, self.columns])
        whole = np.isfinite(both).all(axis=1)
        return np.asarray((np.min if rule == "and" else np.max)(both[whole], axis=0))


def border_distances(weights: np.ndarray) -> BorderDistances:
    """Largest minus smallest two-sample Kolmogorov-Smirnov distance between the rows, and between the columns.

    A row of a unit is the sample of its weights there, over all input channels and columns: inputs * w numbers. With
    F_i their distribution function, D_ij = max over x of |F_i(x) - F_j(x)|, and the statistic is max D - min D over
    the pairs i < j. It is 0 where all rows are alike and also where all differ alike, and 1 where two rows are alike
    and the third shares no range with them. Ties are counted as `scipy.stats.ks_2samp` does.

    Args:
        weights: (units, inputs, h, w), such as `LayerKernels.weights`.

    Example:
        >>> weights = np.random.default_rng(0).normal(size=(1, 50, 3, 3))
        >>> weights[:, :, 0] += 9  # the upper row
        >>> found = border_distances(weights)
        >>> found.rows.round(1).tolist(), bool(found.columns < 0.2)
        ([0.9], True)
    """
    units, inputs, h, w = weights.shape
    if max(h, w) < LINES:
        return BorderDistances(np.full(units, np.nan), np.full(units, np.nan))
    line_of = np.indices((inputs, h, w)).reshape(3, -1)[1:]
    found = [np.full(units, np.nan), np.full(units, np.nan)]
    step = max(1, _AT_ONCE // weights[0].size)
    for start in range(0, units, step):
        values = weights[start : start + step].reshape(-1, inputs * h * w)
        order = values.argsort(axis=1)
        ordered = np.take_along_axis(values, order, axis=1)
        ends = np.ones(ordered.shape, dtype=bool)  # the distribution functions are compared behind equal values
        ends[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
        for axis, lines in enumerate((h, w)):
            if lines >= LINES:
                found[axis][start : start + step] = _spread(line_of[axis][order], ends, lines)
    return BorderDistances(*found)


def _spread(line: np.ndarray, ends: np.ndarray, lines: int) -> np.ndarray:
    """Largest minus smallest distance of the lines, (units,), from the line of each weight in ascending order."""
    counts = [np.cumsum(line == k, axis=1, dtype=np.int32) for k in range(lines)]
    apart = [np.where(ends, np.abs(first - second), 0).max(axis=1) for first, second in combinations(counts, 2)]
    return np.asarray((np.max(apart, axis=0) - np.min(apart, axis=0)) / (line.shape[1] // lines))


def border_aware(
    model: nn.Module,
    threshold: float | Literal["calibrated"] = 0.5,
    rule: Rule = "and",
    image: torch.Tensor | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[LayerShare]:
    """The units of each layer whose kernel rows and (or: or) columns differ by at least a threshold.

    The statistic is that of `border_distances`. Layers whose kernels have fewer than 3 rows and fewer than 3 columns
    cannot be asked and are left out; where only one direction has 3 lines it decides alone. With an image, layers that
    put no padding around their input are left out too: there is no border to see. `layers_without_border` names them.

    The null of each row: the same kernels with their positions permuted, each kernel (unit, input) on its own, at
    least 2,000 a layer; its share is that of permuted units above the same threshold. `calibrated` puts the threshold
    of a layer where 1 % of them lie above, so that among 100 units one is found by chance. Trained kernels have some
    order nearly everywhere, so the calibrated threshold finds order of any kind; what a unit does at the border,
    `cnnaudit.units.noise_padding` tells.

    The source has three slips. Its text says a border *row or column*, its algorithm 4 demands rows *and* columns:
    both are here as `rule`. It speaks of units that fall *below* the threshold, where the algorithm wants it reached.
    It counts 25 units where its table 4 holds 24.

    Args:
        threshold: in 0..1; .5 as published, or `calibrated`.
        rule: `and` as in the published algorithm, `or` as in the published text.
        image: (1, C, H, W), see `kernels`.
        confidence: of the exact interval of each share.

    Raises:
        DataError: another rule, or a threshold outside 0..1.
        UnsupportedError: no layer can be asked.
        ModelError: as `kernels`.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, algorithm 4 and table 4.

    Example:
        >>> from cnnaudit.models import vgg4
        >>> [(row.layer, row.units, row.found) for row in border_aware(vgg4(), rule="or")][1:2]
        [('conv2', 64, ())]
    """
    if rule not in ("and", "or"):
        raise DataError(f"border_aware: rule must be and or or, got {rule!r}")
    if threshold != "calibrated" and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise DataError(f"border_aware: threshold must be 'calibrated' or in 0..1, got {threshold!r}")
    rows = []
    for layer in border_layers(model, image):
        null = permuted_distances(layer, rule, seed)
        bound = calibrated(null) if threshold == "calibrated" else threshold
        values = border_distances(layer.weights).joined(rule)
        rows.append(
            layer_share(
                layer.layer,
                layer.units,
                np.flatnonzero(values >= bound),
                confidence=confidence,
                null=float(np.mean(null >= bound)),
                null_name="permuted kernels",
            )
        )
    return rows


def border_layers(model: nn.Module, image: torch.Tensor | None = None) -> list[LayerKernels]:
    """The layers that can be asked: 3 lines of a kernel in some direction and, with an image, padding.

    Raises:
        UnsupportedError: there is none; the message says why.
    """
    every = kernels(model, image)
    skipped = _reasons(model, every, image)
    found = [layer for layer in every if layer.layer not in skipped]
    if not found:
        raise UnsupportedError(f"no convolution could see a border: {', '.join(sorted(set(skipped.values())))}")
    return found


def layers_without_border(model: nn.Module, image: torch.Tensor | None = None) -> dict[str, str]:
    """The layers that `border_aware` leaves out, each with the reason.

    Example:
        >>> from cnnaudit.models import lenet
        >>> import torch
        >>> layers_without_border(lenet(), torch.rand(1, 1, 28, 28))
        {'conv1': 'no padding', 'conv2': 'no padding'}
    """
    return _reasons(model, kernels(model, image), image)


def _reasons(model: nn.Module, layers: Sequence[LayerKernels], image: torch.Tensor | None) -> dict[str, str]:
    """Why layers cannot be asked."""
    found = {layer.layer: f"kernels of {layer.size[0]}x{layer.size[1]}" for layer in layers if max(layer.size) < LINES}
    if image is None:
        return found
    from cnnaudit.interventions import calls
    from cnnaudit.interventions.modes import evaluating

    with evaluating(model):
        seen = calls(model, image[:1].expand(getattr(model, "batch", None) or 1, *image.shape[1:]))
    padded = {call.name for call in seen if call.geometry and any(call.geometry.padding)}
    return {layer.layer: "no padding" for layer in layers if layer.layer not in padded} | found


def permuted_distances(layer: LayerKernels, rule: Rule, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """The statistic of units whose kernels have their positions permuted, each kernel on its own: (n,), n >= draws."""
    rng = generator(seed, layer.layer, "permuted kernels")
    drawn = [
        border_distances(weights).joined(rule) for weights in permuted(layer.weights, -(-draws // layer.units), rng)
    ]
    return np.concatenate(drawn)


def permuted(weights: np.ndarray, times: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The weights (units, inputs, h, w) with the positions in each kernel permuted, that many times."""
    rows = weights.reshape(-1, weights.shape[2] * weights.shape[3])
    for _ in range(times):
        yield rng.permuted(rows, axis=1).reshape(weights.shape)


def calibrated(null: np.ndarray) -> float:
    """The threshold that 1 % of permuted kernels reach: a value of the null itself, or just above its largest."""
    bound = float(np.quantile(null, 1 - CHANCE, method="higher"))
    if np.mean(null >= bound) <= CHANCE:
        return bound
    above = null[null > bound]
    return float(above.min()) if len(above) else float(np.nextafter(bound, 2))
