"""Maps of features in the plane: t-SNE, UMAP and principal axes, and maps that continue another."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError

Method = Literal["tsne", "umap", "pca"]
METHODS: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "principal axes"}
COMPONENTS = 50  # to which features are reduced before neighbors are sought
NEIGHBORS = 15  # of UMAP, its own default
SPREAD = 1e-4  # standard deviation of the first axis of a map that t-SNE starts from, as scikit-learn scales its own


def reduced(features: np.ndarray, components: int = COMPONENTS, seed: int = 0) -> np.ndarray:
    """Features on at most that many principal components, (n, m) float32: distances that matter, without the noise.

    Features are not standardized: the layer's own scale says which of them count.

    Args:
        features: (n, d).

    Raises:
        DataError: features that are not finite (n, d), or fewer than two rows.
        UnsupportedError: all rows are equal, so there is nothing to map.

    Example:
        >>> reduced(np.eye(80)[:60]).shape
        (60, 50)
    """
    from sklearn.decomposition import PCA

    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) < 2 or not features.shape[1] or not np.isfinite(features).all():
        raise DataError(f"a map needs finite features (2 or more images, 1 or more values), got {features.shape}")
    if not np.ptp(features, axis=0).any():
        raise UnsupportedError(f"all {len(features)} images have the same values, so there is nothing to map")
    if features.shape[1] <= components:
        return np.asarray(features - features.mean(axis=0))
    most = min(components, len(features))
    return np.asarray(PCA(most, random_state=seed).fit_transform(features), dtype=np.float32)


def embed(
    features: np.ndarray,
    method: Method = "tsne",
    *,
    perplexity: float = 30.0,
    iterations: int = 1_000,
    start: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Features in the plane, (n, 2).

    t-SNE and UMAP work on the first 50 principal components and start from the first two (or from `start`), so that
    what is far apart on the large scale stays so, and the same seed gives the same map.

    Args:
        features: (n, d).
        perplexity: of t-SNE, about how many neighbors each image keeps; below n.
        iterations: of t-SNE, 250 or more.
        start: (n, 2), a map to continue, such as that of the moment before in a training; the new one is then turned
            and mirrored to lie on it (t-SNE, UMAP and principal axes do not say which way is up).

    Raises:
        DataError: fewer than two images, values that are not finite, or a perplexity of n or more.
        UnsupportedError: all images have the same values.

    Source: L. van der Maaten and G. Hinton, Visualizing data using t-SNE, 2008; L. McInnes, J. Healy and J. Melville,
        UMAP, 2018; D. Kobak and P. Berens, The art of using t-SNE, 2019 (the start).

    Example:
        >>> lumps = np.random.default_rng(0).normal(size=(40, 5)) + 9 * (np.arange(40) % 2)[:, None]
        >>> embed(lumps, perplexity=10, iterations=250).shape
        (40, 2)
    """
    if method not in METHODS:
        raise DataError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    rows = reduced(features, seed=seed)
    if method == "tsne" and not 0 < perplexity < len(rows):
        raise DataError(
            f"perplexity {perplexity:g} needs more than {perplexity:g} images, there are {len(rows)}: "
            "lower --perplexity, or ask for more --images"
        )
    if start is not None and np.shape(start) != (len(rows), 2):
        raise DataError(f"start: expected a map ({len(rows)}, 2), got {np.shape(start)}")
    axes = _axes(rows)
    if method == "pca":
        return axes if start is None else aligned(axes, start)
    first = axes if start is None else np.asarray(start, dtype=float)
    found = _tsne(rows, first, perplexity, iterations, seed) if method == "tsne" else _umap(rows, first, seed)
    return found if start is None else aligned(found, start)


def aligned(points: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The points (n, 2) around the middle of another map, turned and mirrored to lie on it as well as they can.

    The rotation minimizes sum |R (x_i - mean x) - (y_i - mean y)|^2; nothing is scaled.

    Source: P. Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966.

    Example:
        >>> before = np.array([[0.0, 0], [2, 0], [0, 1]])
        >>> bool(np.allclose(aligned(before[:, ::-1] + 5, before), before))
        True
    """
    from scipy.linalg import orthogonal_procrustes

    middle = before.mean(axis=0)
    own = points - points.mean(axis=0)
    rotation, _ = orthogonal_procrustes(own, before - middle)
    return np.asarray(own @ rotation + middle)


def _axes(rows: np.ndarray) -> np.ndarray:
    """The first two principal axes, (n, 2); one axis where there is but one value."""
    from sklearn.decomposition import PCA

    found = np.zeros((len(rows), 2))
    most = min(2, *rows.shape)
    found[:, :most] = PCA(most, svd_solver="full").fit_transform(rows.astype(np.float64))
    return found


def _tsne(rows: np.ndarray, first: np.ndarray, perplexity: float, iterations: int, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    scaled = (first - first.mean(axis=0)) * (SPREAD / max(float(first.std(axis=0).max()), 1e-12))
    method = TSNE(2, perplexity=perplexity, max_iter=iterations, init=scaled.astype(np.float32), random_state=seed)
    with threadpool_limits(1) if len(rows) < 1_000 else threadpool_limits(None):
        return np.asarray(method.fit_transform(rows), dtype=np.float64)


def _umap(rows: np.ndarray, first: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    neighbors: Any = min(NEIGHBORS, len(rows) - 1)
    method = UMAP(n_neighbors=neighbors, init=first.astype(np.float32), random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(method.fit_transform(rows), dtype=np.float64)
