"""May a t-SNE picture of the network's features be believed?

A map in the plane always shows groups and neighbors. Whether they are those of the features is measured: how many of
the neighbors on the map are false, and whether another random start gives the same neighbors.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.separability._features import profile_values, sampled
from cnnaudit.checks.separability._small_networks import digits_target, noise_target
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import bootstrap_interval, derive_seed

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

NEIGHBORS, PERPLEXITY, ITERATIONS = 12, 30.0, 500
FEWEST = 60  # images: twice the perplexity


@check(
    question="Are neighbors on a t-SNE map of the features neighbors in the features?",
    statistic="trustworthiness of a t-SNE map of the last features",
    unit="share of the possible rank, 1 for no false neighbor",
    direction="at_least",
    tolerance=0.9,
    gate=False,
    remedy="Do not read groups or neighbors off such a map; look at nearest images by the features themselves, as "
    "`cnnaudit embed` shows them, or at more than two principal components.",
    reference="Venna and Kaski, Neighborhood preservation in nonlinear projection methods, 2001; "
    "Kobak and Berens, The art of using t-SNE, 2019",
    needs=("validation", "inside"),
)
def embedding_trust(context: CheckContext) -> Finding:
    """Trustworthiness of a map of what the classifier reads, and the neighbors that it keeps from a random start.

    t-SNE (perplexity 30, 500 iterations, started from the principal axes) of at most 300 images; the statistic is the
    mean over images of t_i = 1 - 2 / (k (2n - 3k - 1)) * sum over the k = 12 map neighbors j of max(0, r_ij - k), with
    r_ij the rank of j by distance in the features (50 principal components). It is 1 where the map adds no false
    neighbor and about .5 for random places. The interval is a bootstrap over images with the map held fixed. How many
    of the 12 neighbors a map from random places shares with it is measured beside it and not judged.

    Tolerance: .9. Of features that are noise in 50 dimensions a map reaches .73, of an untrained network's answers to
    noise .84; of a trained network's on digits .99, of an untrained one's .96. See
    `baselines/null/separability.embedding_trust.json`.
    """
    from cnnaudit.embedding.maps import embed
    from cnnaudit.embedding.trust import shared_neighbors, trustworthiness

    labels = sampled(context)[1]
    layer, values = list(profile_values(context).items())[-1]
    if len(values) < FEWEST:
        raise UnsupportedError(f"a map needs {FEWEST} images to be judged, there are {len(values)}")
    if not np.ptp(values, axis=0).any():
        raise UnsupportedError(f"layer {layer} answers the same to all {len(values)} images")
    seed = derive_seed(context.seed, context.target.name, "t-SNE") % 2**32
    map_of = partial(embed, values, "tsne", perplexity=PERPLEXITY, iterations=ITERATIONS, seed=seed)
    points = map_of()
    trust = trustworthiness(values, points, NEIGHBORS)
    elsewhere = map_of(start=context.generator("start").standard_normal((len(values), 2)))
    shared = shared_neighbors(points, elsewhere, NEIGHBORS)
    interval = bootstrap_interval(
        trust,
        lambda drawn: float(drawn.mean()),
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.profile.resamples,
        bounds=(0.0, 1.0),
    )
    return context.judge(
        float(trust.mean()),
        interval,
        n=len(values),
        summary=f"A t-SNE map of {layer} has trustworthiness {trust.mean():.2f} (1: no false neighbors, chance .5); "
        f"from a random start {shared.mean():.0%} of the neighbors are the same.",
        evidence=_evidence(layer, points, trust, shared, labels, context),
    )


def _evidence(
    layer: str, points: np.ndarray, trust: np.ndarray, shared: np.ndarray, labels: np.ndarray, context: CheckContext
) -> list[Any]:
    """By class: trust, and neighbors shared by two starts."""
    rows = [
        [
            str(context.target.classes[k]),
            int((labels == k).sum()),
            trust[labels == k].mean(),
            shared[labels == k].mean(),
        ]
        for k in np.unique(labels)
    ]
    rows.append(["all", len(labels), trust.mean(), shared.mean()])
    columns = ["class", "images", "trustworthiness", "neighbors shared by two starts"]
    return [
        evidence.table(f"The map of {layer} by class", columns, rows),
        evidence.boxes("Trust in the places of images", {"images": trust.tolist()}, label="trustworthiness"),
    ]


def network_on_digits(seed: int) -> AuditTarget:
    """The trained twin."""
    return digits_target(seed, trained=True)


PLANTS = [Plant("an untrained network on images of noise", noise_target, network_on_digits)]
POPULATIONS = ordinary(seeds=300)
