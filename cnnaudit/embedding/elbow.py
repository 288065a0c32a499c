"""How many clusters there are, by several published rules, which need not agree."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.embedding.clusters import Clustering, cluster

MOST_CLUSTERS = 12
REFERENCES = 10
RULES: Mapping[str, str] = {
    "chord": "the inertia lies farthest below the chord from first to last k (Satopää et al., Kneedle, 2011)",
    "silhouette": "the mean silhouette is largest (Rousseeuw 1987)",
    "gap": "the first k whose gap to uniform data is not beaten by the next (Tibshirani, Walther and Hastie 2001)",
    "Calinski-Harabasz": "the ratio of between to within variance is largest (Calinski and Harabasz 1974)",
    "Davies-Bouldin": "the mean likeness of each cluster to its nearest is smallest (Davies and Bouldin 1979)",
}


@dataclass(frozen=True, eq=False)
class Elbow:
    """What each rule says of 1..K clusters.

    Attributes:
        ks: the numbers of clusters that were tried, (m,).
        inertia: of the best clustering of each, (m,).
        scores: per rule the quantity that it looks at, (m,); NaN where it is not defined.
        chosen: per rule its number of clusters; None where it finds none among those tried.
    """

    ks: np.ndarray
    inertia: np.ndarray
    scores: Mapping[str, np.ndarray]
    chosen: Mapping[str, int | None]

    @property
    def words(self) -> str:
        """Whether the rules agree, in one sentence without overstating it."""
        found = Counter(k for k in self.chosen.values() if k is not None)
        silent = [rule for rule, k in self.chosen.items() if k is None]
        told = ", ".join(f"{k} ({', '.join(r for r, c in self.chosen.items() if c == k)})" for k in sorted(found))
        none = f"; {' and '.join(silent)}: none up to {int(self.ks[-1])}" if silent else ""
        if not found:
            return f"No rule finds a number of clusters up to {int(self.ks[-1])}."
        if len(found) == 1:
            return f"The rules that find a number of clusters agree on {told}{none}."
        return f"The rules disagree: {told}{none}."


def elbow(features: np.ndarray, seed: int = 0, most: int = MOST_CLUSTERS) -> Elbow:
    """Ask every rule of `RULES` for the number of clusters in 1..`most`.

    Args:
        features: (n, d).
        most: the largest number tried; the chord's answer depends on it.

    Raises:
        UnsupportedError: fewer than 4 images with different features.

    Example:
        >>> points = np.concatenate([np.random.default_rng(0).normal(c, 0.1, (30, 2)) for c in (0, 4, 8)])
        >>> elbow(points).chosen["silhouette"]
        3
    """
    features = np.asarray(features, dtype=float)
    distinct = len(np.unique(features, axis=0))
    if distinct < 4:
        raise UnsupportedError(f"{len(features)} images have {distinct} different features; an elbow needs at least 4")
    ks = np.arange(1, min(most, distinct - 1) + 1)
    found = [cluster(features, int(k), seed, starts=5) for k in ks]
    inertia = np.array([one.inertia for one in found])
    gaps, errors = gap(features, inertia, ks, seed)
    scores = {"chord": chord_distance(ks, inertia), **_indices(features, found), "gap": gaps}
    chosen: dict[str, int | None] = {
        rule: int(ks[int(np.nanargmax(values if rule != "Davies-Bouldin" else -values))])
        for rule, values in scores.items()
        if rule != "gap"
    }
    settled = np.flatnonzero(gaps[:-1] >= gaps[1:] - errors[1:])
    chosen["gap"] = int(ks[settled[0]]) if len(settled) else None
    return Elbow(ks, inertia, {rule: scores[rule] for rule in RULES}, {rule: chosen[rule] for rule in RULES})


def chord_distance(ks: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """How far a falling curve lies below the chord from its first to its last point, both axes scaled to 0..1.

    Source: Satopää et al., Finding a 'kneedle' in a haystack, 2011, without its smoothing.

    Example:
        >>> chord_distance(np.array([1, 2, 3]), np.array([10.0, 1.0, 0.0])).round(2).tolist()
        [0.0, 0.4, 0.0]
    """
    x = (ks - ks[0]) / max(ks[-1] - ks[0], 1)
    span = inertia[0] - inertia[-1]
    y = (inertia - inertia[-1]) / span if span > 0 else 1 - x
    return np.asarray(1 - x - y)


def gap(features: np.ndarray, inertia: np.ndarray, ks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The gap E*[log W_k] - log W_k and its error s_k = sd sqrt(1 + 1/B), each (m,).

    The reference is uniform over the box along the principal components, B = 10 draws.

    Source: Tibshirani, Walther and Hastie, Estimating the number of clusters via the gap statistic, 2001 (variant b).
    """
    rng = np.random.default_rng(seed)
    center = features.mean(axis=0)
    _, _, axes = np.linalg.svd(features - center, full_matrices=False)
    turned = (features - center) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    tiny = np.finfo(float).tiny
    drawn = np.array(
        [
            [np.log(cluster(points, int(k), seed, starts=1).inertia + tiny) for k in ks]
            for points in (rng.uniform(low, high, turned.shape) for _ in range(REFERENCES))
        ]
    )
    return drawn.mean(axis=0) - np.log(inertia + tiny), drawn.std(axis=0) * np.sqrt(1 + 1 / REFERENCES)


def _indices(features: np.ndarray, found: list[Clustering]) -> dict[str, np.ndarray]:
    """The rules that compare distances within clusters with those between; NaN for one cluster."""
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    rules = {
        "silhouette": silhouette_score,
        "Calinski-Harabasz": calinski_harabasz_score,
        "Davies-Bouldin": davies_bouldin_score,
    }
    values: dict[str, list[float]] = {rule: [] for rule in rules}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in found:
            defined = 2 <= len(one.centers) < len(features)
            for rule, score in rules.items():
                values[rule].append(float(score(features, one.labels)) if defined else float("nan"))
    return {rule: np.array(value) for rule, value in values.items()}
