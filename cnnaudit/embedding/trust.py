"""May a map in the plane be believed? Neighbors that the features do not know, and maps that differ by their seed."""

from __future__ import annotations

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.embedding.separation import nearest


def trustworthiness(features: np.ndarray, points: np.ndarray, k: int = 12) -> np.ndarray:
    """How far the map neighbors of each image are its neighbors in the features too, (n,); the mean is the index.

    t_i = 1 - 2 / (k (2n - 3k - 1)) * sum over the k map neighbors j of max(0, r_ij - k), with r_ij the rank of j by
    distance from i in the features. Of a map that keeps all neighbors 1; of random places about .5.

    Args:
        features: (n, d).
        points: (n, 2).
        k: neighbors, below n / 2.

    Raises:
        DataError: k is n / 2 or more.

    Source: J. Venna and S. Kaski, Neighborhood preservation in nonlinear projection methods, 2001.

    Example:
        >>> line = np.arange(10.0)[:, None]
        >>> float(trustworthiness(line, np.hstack([line, line]), k=2).mean())
        1.0
    """
    from scipy.spatial.distance import cdist

    n = len(features)
    if not 1 <= k < n / 2:
        raise DataError(f"trustworthiness: {k} neighbors need more than {2 * k} images, got {n}")
    distances = cdist(features, features)
    np.fill_diagonal(distances, -1.0)
    ranks = np.empty((n, n), dtype=np.int64)
    np.put_along_axis(ranks, distances.argsort(axis=1, kind="stable"), np.arange(n)[None].repeat(n, 0), axis=1)
    beyond = np.take_along_axis(ranks, nearest(points, k), axis=1) - k
    return np.asarray(1 - 2 / (k * (2 * n - 3 * k - 1)) * np.maximum(beyond, 0).sum(axis=1))


def shared_neighbors(first: np.ndarray, second: np.ndarray, k: int = 12) -> np.ndarray:
    """The share of the k neighbors of each image in one map that are its neighbors in another, (n,).

    Example:
        >>> line = np.arange(6.0)[:, None]
        >>> shared_neighbors(line, -line, k=2).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    a, b = nearest(first, k), nearest(second, k)
    return np.asarray((a[:, :, None] == b[:, None, :]).any(axis=2).mean(axis=1))
