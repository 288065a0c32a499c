"""A simple classifier whose cross-validated predictions are linear in the labels, so that permuting them is cheap."""

from __future__ import annotations

import numpy as np

from cnnaudit.dataset.scores import above_chance

FOLDS = 5
PENALTY = 0.3


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

    varied = features[:, features.std(axis=0) > 1e-6].astype(float)
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
    sizes = np.bincount(labels, minlength=classes)
    scores = np.empty(permutations)
    for row in range(permutations):
        shuffled = rng.permutation(labels)
        right = probe_predictions(smoother, shuffled, classes) == shuffled
        scores[row] = above_chance(np.bincount(shuffled[right], minlength=classes) / sizes)
    return scores
