"""k-means clusters of features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import UnsupportedError

MOST = 64  # features that stay as they are
COMPONENTS = 50


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters, largest first.

    Attributes:
        labels: the cluster of each image, int64 (n,).
        centers: (k, d); those of empty clusters, where the features have fewer than k distinct values, are left out.
        inertia: the sum of the squared distances to the centers.
    """

    labels: np.ndarray
    centers: np.ndarray
    inertia: float


def cluster(features: np.ndarray, k: int, seed: int = 0, starts: int = 10) -> Clustering:
    """k-means with k-means++ starts, the best of `starts`.

    Args:
        features: (n, d), as they are; see `comparable`.
        k: number of clusters, 1..n.

    Raises:
        UnsupportedError: there are fewer images than clusters.

    Source: Lloyd, Least squares quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007.

    Example:
        >>> cluster(np.array([[0.0], [0.1], [0.2], [5.0]]), 2).labels.tolist()
        [0, 0, 0, 1]
    """
    from sklearn.cluster import KMeans

    features = np.asarray(features, dtype=float)
    if not 1 <= k <= len(features):
        raise UnsupportedError(f"{len(features)} images cannot be put into {k} clusters: give more images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters
        fitted = KMeans(k, n_init=starts, random_state=seed).fit(features)
    sizes = np.bincount(fitted.labels_, minlength=k)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    renamed = np.full(k, -1)
    renamed[order] = np.arange(len(order))
    return Clustering(renamed[fitted.labels_], fitted.cluster_centers_[order], float(fitted.inertia_))


def comparable(features: np.ndarray) -> np.ndarray:
    """Features that k-means may compare: up to 64 as they are, since they share a unit; more of them standardized,
    constant ones dropped, and projected to their first 50 principal components.

    Args:
        features: (n, d).

    Returns:
        (n, m) with m at least 1.
    """
    features = np.asarray(features, dtype=float)
    if features.shape[1] <= MOST:
        return features
    varied = features[:, features.std(axis=0) > 1e-6]
    if not varied.shape[1]:
        return np.zeros((len(features), 1))
    standard = (varied - varied.mean(axis=0)) / varied.std(axis=0)
    u, s, _ = np.linalg.svd(standard, full_matrices=False)
    return np.asarray((u * s)[:, :COMPONENTS])
