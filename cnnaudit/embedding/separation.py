"""How well classes are separated in features, image by image: silhouettes, neighbors, a linear probe."""

from __future__ import annotations

import numpy as np

FOLDS = 5


def silhouettes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The silhouette of each image in its class, (n,), in -1..1; 0 for the only image of a class.

    (b - a) / max(a, b), with a the mean distance to the images of its own class and b that to the nearest other class.

    Source: P. Rousseeuw, Silhouettes, 1987.

    Example:
        >>> silhouettes(np.array([[0.0], [0.0], [9.0], [9.0]]), np.array([0, 0, 1, 1])).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    from sklearn.metrics import silhouette_samples

    return np.asarray(silhouette_samples(features, labels), dtype=np.float64)


def nearest(features: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other images of each, int (n, k), nearest first.

    Example:
        >>> nearest(np.array([[0.0], [1.0], [3.0]]), 1).ravel().tolist()
        [1, 0, 1]
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(features) - 1)
    return np.asarray(NearestNeighbors(n_neighbors=k).fit(features).kneighbors(return_distance=False))


def neighbor_purity(features: np.ndarray, labels: np.ndarray, k: int = 10) -> np.ndarray:
    """The share of the k nearest images that are of the same class, (n,).

    Example:
        >>> neighbor_purity(np.array([[0.0], [1.0], [5.0]]), np.array([0, 0, 1]), k=1).tolist()
        [1.0, 1.0, 0.0]
    """
    return np.asarray((labels[nearest(features, k)] == labels[:, None]).mean(axis=1))


def probe_hits(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Whether a linear classifier that did not see the image tells its class, (n,) of 0 and 1.

    Logistic regression on standardized features, five folds that keep the shares of the classes; NaN for images of
    classes with fewer than five.

    Source: G. Alain and Y. Bengio, Understanding intermediate layers using linear classifier probes, 2016.
    """
    import warnings

    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, counts = np.unique(labels, return_counts=True)
    asked = np.isin(labels, names[counts >= FOLDS])
    hits = np.full(len(labels), np.nan)
    if len(np.unique(labels[asked])) < 2:
        return hits
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last digits of the weights do not matter
        predicted = cross_val_predict(probe, features[asked], labels[asked], cv=folds)
    hits[asked] = predicted == labels[asked]
    return hits
