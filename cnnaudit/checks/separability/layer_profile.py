"""Do the classes separate better with depth?

A network that has learned its classes pulls them apart layer by layer. One that has not loses with depth what the
pixels tell: its last layer separates the classes no better than its first.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.separability._features import profile_values, sampled
from cnnaudit.checks.separability._small_networks import digits_target
from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval, derive_seed

NEIGHBORS = 10


@check(
    question="Do the classes separate better in the last layer than in the first?",
    statistic="silhouette of the classes in the last layer less that in the first",
    unit="mean silhouette",
    direction="at_least",
    tolerance=0.0,
    gate=False,
    remedy="Look at the layer from which on the classes separate no further: what follows it was not trained, or has "
    "thrown away what tells the classes apart.",
    reference="Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017; "
    "Rousseeuw, Silhouettes, 1987",
    needs=("validation", "inside"),
)
def layer_profile(context: CheckContext) -> Finding:
    """The rise of the classes' silhouettes from the first activation to what the classifier reads.

    An image's silhouette is (b - a) / max(a, b), with a its mean distance to the images of its own class and b that to
    the nearest other class. Distances are Euclidean, of the layer's values on their first 50 principal components. The
    statistic is the mean over images of the last layer's silhouette less the first one's; the interval is a bootstrap
    over images of these differences. At most 300 images are looked at. For the layers between, the share of the 10
    nearest images of the same class and the accuracy of a linear probe (five folds) are shown beside it.

    Tolerance: 0, no rise. An untrained network falls (-.10 on digits, from .16 to .06), a trained one rises (.17). See
    `baselines/null/separability.layer_profile.json`.
    """
    from cnnaudit.embedding.separation import silhouettes

    values = profile_values(context)
    labels = sampled(context)[1]
    layers = list(values)
    heights = {layer: silhouettes(values[layer], labels) for layer in layers}
    rise = heights[layers[-1]] - heights[layers[0]]
    interval = bootstrap_interval(
        rise,
        lambda drawn: float(drawn.mean()),
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.profile.resamples,
        bounds=(-2.0, 2.0),
    )
    first, last = (float(heights[layer].mean()) for layer in (layers[0], layers[-1]))
    return context.judge(
        float(rise.mean()),
        interval,
        n=len(labels),
        summary=f"The silhouette of the classes is {first:.2f} in {layers[0]} and {last:.2f} in {layers[-1]} "
        f"({rise.mean():+.2f}; 1 is far apart, 0 mixed).",
        p_value=_p_value(rise, context),
        locations=[Location(float(heights[layer].mean()), layer=layer) for layer in (layers[-1], layers[0])],
        evidence=_evidence(values, heights, labels, context),
    )


def _p_value(rise: np.ndarray, context: CheckContext) -> float:
    """How often random signs of the images' differences give as large a mean: no rise, by permutation."""
    from cnnaudit.core.statistics import permutation_p_value

    rng = context.generator("signs")
    signs = rng.choice((-1.0, 1.0), size=(context.resamples, len(rise)))
    return permutation_p_value(float(rise.mean()), signs @ rise / len(rise))


def _evidence(
    values: Mapping[str, np.ndarray], heights: Mapping[str, np.ndarray], labels: np.ndarray, context: CheckContext
) -> list[Any]:
    """The profile over the layers, and the rise by class."""
    from cnnaudit.embedding.separation import neighbor_purity, probe_hits

    columns = ["layer", "silhouette", "neighbors of the same class", "linear probe"]
    rows: list[list[Any]] = []
    seed = derive_seed(context.seed, "probe") % 2**32
    for layer, found in values.items():
        measured = [heights[layer], neighbor_purity(found, labels, NEIGHBORS), probe_hits(found, labels, seed)]
        rows.append([layer, *(_with_error(one) for one in measured)])
    shown = [evidence.table("Separation by layer, with 95 % of the mean", columns, rows)]
    first, *_, last = heights.values()
    rise = {str(context.target.classes[k]): float((last - first)[labels == k].mean()) for k in np.unique(labels)}
    shown.append(evidence.bars("Rise of the silhouette by class", rise, label="last layer less first"))
    return shown


def _with_error(measured: np.ndarray) -> str:
    """A mean over images with its normal interval."""
    known = measured[np.isfinite(measured)]
    if not len(known):
        return "too few images"
    half = 1.96 * float(known.std()) / np.sqrt(len(known))
    return f"{known.mean():.3f} ± {half:.3f}"


PLANTS = [Plant("an untrained network", partial(digits_target, trained=False), partial(digits_target, trained=True))]
POPULATIONS = ordinary(seeds=300)
