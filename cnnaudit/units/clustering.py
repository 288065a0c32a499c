"""Units of a layer grouped by their kernels, as the reference groups them, with what the data support beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.core.statistics import derive_seed, generator
from cnnaudit.units import _dendrogram
from cnnaudit.units._cluster_count import cluster_count, condensed
from cnnaudit.units._dendrogram import by_size, matched
from cnnaudit.units._kernels import LayerKernels, normalized
from cnnaudit.units._unit_clusters import UnitClusters
from cnnaudit.units.representatives import representative

NEIGHBORS = 30
FEWEST_EMBEDDED = 5  # units; fewer are drawn on their principal axes
_REPEATS, _KEPT = 5, 0.8


def cluster(
    kernels: LayerKernels | np.ndarray,
    clusters: int | None = None,
    *,
    most: int = 10,
    embed: bool = True,
    seed: int = 0,
) -> UnitClusters:
    """Group the units of a layer by their kernels: distances, UMAP, Ward dendrogram, spectral clustering.

    After Garriga's algorithm 5: each unit's weights are brought to mean 0 and variance 1; two units are as far apart as
    the Euclidean norm of their difference; spectral clustering finds groups in
    the distances (not in the embedding, which is drawn only), a Ward dendrogram as many beside it. The affinity is
    exp(-gamma d^2) with gamma = 1 / (2 median(d)^2); with scikit-learn's gamma = 1 every affinity is 0 at these
    distances, of sqrt(2 h w inputs). What the source does not do is ask whether there are any groups: `count` does, see
    `cluster_count`. Representative kernels are the averaged ones less their mean.

    `stability` holds mean adjusted Rand indices (1: always the same groups, 0: chance): of spectral clustering over 5
    `seeds`; of it (`spectral, units left out`) and of the cut (`dendrogram, units left out`) over 5 random four fifths
    of the units against all; and of the two with each other (`spectral and dendrogram`).

    Args:
        kernels: of a layer, or weights (units, inputs, h, w).
        clusters: how many groups; None: as many as the data support; where they support none, where the dendrogram
            steps most, as the source reads it: the k >= 2 with the largest rise of the merging height from k to k - 1
            groups, relative to the height.
        most: the largest number of groups that is thought of.
        embed: whether UMAP (30 neighbors, min_dist 0) is run; otherwise the two first principal axes are drawn.
        seed: of the null, of UMAP and of spectral clustering.

    Raises:
        UnsupportedError: 1x1 kernels, or no unit with a pattern; or, to embed, umap-learn is not installed.
        DataError: weights that are not finite (units, inputs, h, w), or more groups than units.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, section 4.2.3, algorithm 5.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> lumps = rng.standard_normal((2, 4, 3, 3))[np.arange(40) % 2] + 0.3 * rng.standard_normal((40, 4, 3, 3))
        >>> found = cluster(lumps, embed=False)
        >>> found.clusters, found.supported, found.sizes
        (2, 2, [20, 20])
    """
    import sklearn.cluster  # noqa: F401 -- libraries that are loaded later are not limited
    from threadpoolctl import threadpool_limits

    layer = kernels if isinstance(kernels, LayerKernels) else LayerKernels("layer", _weights(kernels))
    with threadpool_limits(1):  # small matrices: more threads only wait for one another
        return _clustered(layer, clusters, most, embed, seed)


def _clustered(layer: LayerKernels, clusters: int | None, most: int, embed: bool, seed: int) -> UnitClusters:
    """`cluster`, of a layer."""
    if not layer.spatial:
        raise UnsupportedError(f"layer {layer.layer!r} has 1x1 kernels, which hold no pattern to group by")
    rows, units = normalized(layer.weights.reshape(layer.units, -1).astype(np.float64))
    if not len(units):
        raise UnsupportedError(f"layer {layer.layer!r}: the weights of every unit are constant, there is no pattern")
    constant = tuple(int(unit) for unit in np.setdiff1d(np.arange(layer.units), units))
    count = cluster_count(rows, most, seed=derive_seed(seed, layer.layer))
    if len(units) < 2:
        clusters, stepped, distances, tree = 1, 1, np.zeros(0), np.zeros((0, 4))
    else:
        distances = condensed(rows @ rows.T)
        tree = _dendrogram.tree(distances)
        stepped = _dendrogram.step(tree, most)
        clusters = (count.clusters if count.clusters > 1 else stepped) if clusters is None else clusters
    if not 1 <= clusters <= len(units):
        raise DataError(f"cluster: {layer.layer} has {len(units)} units with a pattern, clusters={clusters} of them")
    gamma = 1 / (2 * float(np.median(distances)) ** 2) if distances.any() else 1.0
    labels = spectral(distances, clusters, gamma, seed) if clusters > 1 else np.zeros(len(units), dtype=int)
    points, how = _embedding(rows, seed) if embed else (_axes(rows), "principal axes")
    averaged = layer.averaged()[units].astype(np.float64)
    averaged -= averaged.mean(axis=(1, 2), keepdims=True)  # as the units are compared: signs tell a pattern, not a bias
    return UnitClusters(
        layer=layer.layer,
        size=layer.size,
        units=units,
        constant=constant,
        count=count,
        clusters=clusters,
        steps=stepped,
        labels=labels,
        dendrogram=matched(_dendrogram.cut(tree, clusters), labels),
        linkage=tree,
        cut=_dendrogram.height(tree, clusters),
        embedding=points,
        embedded_by=how,
        gamma=gamma,
        representatives=tuple(representative(averaged, units, labels, k) for k in range(clusters)),
        axis=float(np.linalg.norm(rows, 2) ** 2 / np.square(rows).sum()),
        silhouette=_silhouette(distances, labels),
        stability=_stability(distances, clusters, gamma, seed) if clusters > 1 else {},
    )


def spectral(distances: np.ndarray, clusters: int, gamma: float, seed: int = 0) -> np.ndarray:
    """Spectral clustering of condensed distances with affinity exp(-gamma d^2): labels (n,), 0 the largest group."""
    import warnings

    from scipy.spatial.distance import squareform
    from sklearn.cluster import SpectralClustering

    affinity = np.exp(-gamma * squareform(distances) ** 2)
    method = SpectralClustering(clusters, affinity="precomputed", random_state=derive_seed(seed) % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal units: fewer points than groups
        return by_size(method.fit_predict(affinity))


def _weights(weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.ndim != 4 or not weights.size or not np.isfinite(weights).all():
        raise DataError(f"cluster: expected finite weights (units, inputs, h, w), got {weights.dtype} {weights.shape}")
    return weights.astype(np.float32)


def _axes(rows: np.ndarray) -> np.ndarray:
    """The rows on their two first principal axes, (n, 2)."""
    centered = rows - rows.mean(axis=0)
    variances, axes = np.linalg.eigh(centered @ centered.T)
    found = np.zeros((len(rows), 2))
    best = np.argsort(-variances)[:2]
    found[:, : len(best)] = axes[:, best] * np.sqrt(np.maximum(variances[best], 0))
    return found


def _embedding(rows: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    """The rows in two dimensions by UMAP, or on their principal axes where there are too few."""
    import warnings

    if len(rows) < FEWEST_EMBEDDED:
        return _axes(rows), "principal axes"
    try:
        from umap import UMAP
    except ImportError as error:
        raise UnsupportedError('the embedding needs umap-learn: pip install "cnnaudit[topology]"') from error
    neighbors = min(NEIGHBORS, len(rows) - 1)
    start: Any = "spectral" if len(rows) > NEIGHBORS else _axes(rows).astype(np.float32)
    method = UMAP(
        n_neighbors=neighbors, min_dist=0.0, init=start, random_state=derive_seed(seed, "umap") % 2**32, n_jobs=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.asarray(method.fit_transform(rows.astype(np.float32)), dtype=np.float64)
    return found, f"UMAP, {neighbors} neighbors"


def _silhouette(distances: np.ndarray, labels: np.ndarray) -> float | None:
    from scipy.spatial.distance import squareform
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(squareform(distances), labels, metric="precomputed"))


def _stability(distances: np.ndarray, clusters: int, gamma: float, seed: int) -> dict[str, float]:
    """Mean adjusted Rand indices of repeated clusterings, see `cluster`."""
    from itertools import combinations

    from scipy.spatial.distance import squareform
    from sklearn.metrics import adjusted_rand_score

    square, rng = squareform(distances), generator(seed, "left out")
    runs = [spectral(distances, clusters, gamma, seed + k) for k in range(_REPEATS)]
    cut = _dendrogram.cut(_dendrogram.tree(distances), clusters)
    found = {
        "seeds": [adjusted_rand_score(a, b) for a, b in combinations(runs, 2)],
        "spectral and dendrogram": [adjusted_rand_score(runs[0], cut)],
    }
    kept = round(_KEPT * len(square))
    for _ in range(_REPEATS if kept > clusters else 0):
        rows = np.sort(rng.permutation(len(square))[:kept])
        part = squareform(square[np.ix_(rows, rows)], checks=False)
        again = {
            "spectral": (runs[0], spectral(part, clusters, gamma, seed)),
            "dendrogram": (cut, _dendrogram.cut(_dendrogram.tree(part), clusters)),
        }
        for name, (before, after) in again.items():
            found.setdefault(f"{name}, units left out", []).append(adjusted_rand_score(before[rows], after))
    return {name: float(np.mean(values)) for name, values in found.items()}
