"""A simple classifier whose cross-validated predictions are linear in the labels, so that permuting them is cheap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.statistics.balanced import above_chance

FOLDS = 5
PENALTY = 0.3
MOST = 2_000
_VALUES = 2_000_000  # targets of so many permutations at once


def cross_validated_smoother(features: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The matrix S (n, n) with S @ Y the held-out predictions of kernel ridge regression for any targets Y (n, K).

    Features are standardized; the kernel is exp(-|x - y|^2 / median |x - y|^2), the penalty .3. A fold's predictions
    are m + K_vt (K_tt + .3 I)^-1 (Y_t - m), with m the mean of Y over the other folds (t).

    Args:
        features: (n, d).
        folds: the fold of each image, integers (n,).
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.spatial.distance import pdist, squareform

    features = features.astype(float)  # in float32 the deviation of a constant column is not quite 0
    varied = features[:, features.std(axis=0) > 1e-6]
    standard = (varied - varied.mean(axis=0)) / varied.std(axis=0)
    squared = (
        pdist(standard, "sqeuclidean") if standard.shape[1] else np.zeros(len(features) * (len(features) - 1) // 2)
    )
    typical = float(np.median(squared)) if len(squared) else 0.0
    kernel = np.exp(-squareform(squared) / (typical or 1.0))
    smoother = np.zeros(kernel.shape)
    for fold in np.unique(folds):
        held, used = np.nonzero(folds == fold)[0], np.nonzero(folds != fold)[0]
        factor = cho_factor(kernel[np.ix_(used, used)] + PENALTY * np.eye(len(used)))
        weights = cho_solve(factor, kernel[np.ix_(used, held)]).T
        smoother[np.ix_(held, used)] = weights + (1 - weights.sum(axis=1, keepdims=True)) / len(used)
    return smoother


def probe_predictions(smoother: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The predicted class of each held-out image: the largest score relative to the class's frequency, so that a rare
    class is not drowned."""
    targets = np.eye(classes)[labels]
    predicted: np.ndarray = (smoother @ (targets / targets.mean(axis=0))).argmax(axis=1)
    return predicted


def permuted_scores(
    smoother: np.ndarray, labels: np.ndarray, classes: int, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """`above_chance` of the probe for random permutations of the labels: (permutations,)."""
    n, sizes = len(labels), np.bincount(labels, minlength=classes)
    smoother, weights = smoother.astype(np.float32), (n / sizes).astype(np.float32)
    chunk = max(1, _VALUES // (n * classes))
    scores = []
    for start in range(0, permutations, chunk):
        shuffled = np.stack([rng.permutation(labels) for _ in range(min(chunk, permutations - start))])
        targets = np.zeros((n, len(shuffled), classes), dtype=np.float32)
        targets[np.arange(n), np.arange(len(shuffled))[:, None], shuffled] = weights[shuffled]
        predicted = (smoother @ targets.reshape(n, -1)).reshape(targets.shape).argmax(axis=2).T
        right = np.stack([((predicted == shuffled) & (shuffled == k)).sum(axis=1) for k in range(classes)], axis=1)
        scores.append(above_chance(right / sizes))
    return np.concatenate(scores)


@dataclass(frozen=True, eq=False)
class Probe:
    """Held-out predictions of the probe (n,), the labels (n,), and its scores on permuted labels (permutations,)."""

    predicted: np.ndarray
    labels: np.ndarray
    null: np.ndarray


def ask_probe(features: np.ndarray, labels: np.ndarray, permutations: int, rng: np.random.Generator) -> Probe | None:
    """The probe in 5 folds of about equal mixture; None without two classes of at least 5 images each.

    Classes with fewer images are left out.

    Args:
        features: (n, d).
        labels: (n,).
    """
    found, counts = np.unique(labels, return_counts=True)
    kept = found[counts >= FOLDS]
    if len(kept) < 2:
        return None
    rows = rng.permutation(np.nonzero(np.isin(labels, kept))[0])
    rows = rows[np.argsort(labels[rows], kind="stable")]
    coded = np.searchsorted(kept, labels[rows])
    smoother = cross_validated_smoother(features[rows], np.arange(len(rows)) % FOLDS)
    null = permuted_scores(smoother, coded, len(kept), permutations, rng)
    return Probe(probe_predictions(smoother, coded, len(kept)), coded, null)
