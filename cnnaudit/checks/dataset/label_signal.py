"""Can the label be predicted from the image at all?

Labels that were joined to the wrong images carry no signal. The audit asks a simple probe that needs no training, and
the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._classes import answers_of, labels_of
from cnnaudit.checks.dataset._clean_targets import DIGITS, clean_populations, digit_splits, fitted_target, plain_digits
from cnnaudit.checks.random_filters import filter_features
from cnnaudit.checks.scan import subsample
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import balanced, generator, permutation_p_value
from cnnaudit.target import LABELED

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

FOLDS = 5
PENALTY = 0.3
MOST = 2_000
NAMED = 8  # classes that are not judged, in the summary
_OUT_OF_REACH = 10**9  # images: more of the other classes would not decide
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
        scores.append(balanced.above_chance(right / sizes))
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


@check(
    question="Can the label be predicted from the image at all?",
    statistic="balanced accuracy above chance, of a simple probe or the model, whichever is better",
    unit="0: chance, 1: perfect",
    direction="at_least",
    tolerance=0.1,
    gate=True,
    remedy="Check how labels were joined to images (file order, a shifted column, shuffled names), and look at images "
    "with their labels. If they are right, the image may not hold the answer.",
    reference="von Burg (2017), Debugging deep neural networks; Ojala and Garriga (2010), Permutation tests",
)
def label_signal(context: CheckContext) -> Finding:
    """Balanced accuracy above chance of a simple probe, cross-validated, or of the model where that is better.

    The probe is kernel ridge regression on random-filter features of as many training images as the profile samples
    (else of validation images), in 5 folds: `ask_probe`. Its p-value comes from permuting the labels.
    Where the probe is too simple (hundreds of classes, fine detail), a model that is right on validation images shows
    the signal just as well. Intervals are Bayesian bootstraps over images; a pass may rest on either of the two, so the
    low bounds get half of the error each, a fail needs both. Classes of fewer than 5 images in either split are not
    judged: they are named, and the check does not pass.

    Tolerance: 99 % point of shuffled digits, .04, and .05 that the interval of 500 images in ten classes needs around
    it, rounded up: .1. Real data lie above .36.
    """
    target = context.target
    rng, p_value, shown = context.generator(), None, []
    asked: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    probe = _probe(context)
    if probe is not None:
        asked["a simple probe"] = (probe.predicted, probe.labels)
        observed = balanced.balanced_score(probe.predicted, probe.labels)
        p_value = permutation_p_value(observed, probe.null)
        label = "balanced accuracy above chance"
        null = evidence.null_distribution("The probe on shuffled labels", probe.null[:1000], observed, label=label)
        shown.append(null)
    if "validation" in target.splits and len(np.unique(context.sample("validation")[1])) > 1:
        asked["the model"] = (
            answers_of(context, "validation"),
            labels_of(context.sample("validation"), "validation"),
        )
    if not asked:
        raise UnsupportedError("predicting the label needs images of two classes, at least 5 of each")
    points = {who: balanced.balanced_score(*answers) for who, answers in asked.items()}
    low_at, high_at = context.among(len(asked)).confidence, context.confidence
    bounds = [
        (balanced.balanced_interval(*answers, low_at, rng)[0], balanced.balanced_interval(*answers, high_at, rng)[1])
        for answers in asked.values()
    ]
    rows = [[who, f"{points[who]:.3f}", f"{low:.3f} to {high:.3f}"] for who, (low, high) in zip(asked, bounds)]
    shown.append(evidence.table("Who predicts the label (0: chance, 1: perfect)", ["", "reached", "interval"], rows))
    small = _too_small(target)
    low = max(low for low, _ in bounds)
    return context.judge(
        max(points.values()),
        (min(low, 0.0) if small else low, max(high for _, high in bounds)),
        n=max(len(labels) for _, labels in asked.values()),
        p_value=p_value,
        needed_n=_OUT_OF_REACH if small else None,
        summary="From the image alone, "
        + " and ".join(f"{who} comes {point:.0%}" for who, point in points.items())
        + " of the way from chance to perfect labels."
        + (f" Not judged, with fewer than {FOLDS} images: {', '.join(small[:NAMED])}" if small else "")
        + ("" if not small else f" and {len(small) - NAMED} more." if len(small) > NAMED else "."),
        evidence=shown,
    )


def _too_small(target: AuditTarget) -> list[str]:
    """Classes that have images, but fewer than 5 in each split, as words."""
    counts = [
        np.bincount(np.asarray(target.split(split).labels), minlength=len(target.classes))
        for split in LABELED
        if split in target.splits
    ]
    most = np.max(counts, axis=0)
    return [f"'{target.classes[k]}' ({most[k]})" for k in np.flatnonzero((most > 0) & (most < FOLDS))]


def _probe(context: CheckContext) -> Probe | None:
    """The probe on training images (else validation images), at most 2,000; None where it cannot be asked."""
    split = "train" if "train" in context.target.splits else "validation"
    seen = subsample(context.scan(split), min(context.profile.images or MOST, MOST))
    if min(seen.thumbnails.shape[2:]) < 3 or len(np.unique(seen.labels)) < 2:
        return None
    return ask_probe(filter_features(seen.thumbnails), seen.labels, context.resamples, context.generator("probe"))


def shuffled_digits(seed: int) -> AuditTarget:
    """Digits whose labels were shuffled, in both splits."""
    rng = generator("planted", seed, "shuffle")
    splits = {split: (images, rng.permutation(labels)) for split, (images, labels) in digit_splits(seed).items()}
    return fitted_target("shuffled digits", splits, DIGITS)


PLANTS = [Plant("shuffled labels", shuffled_digits, plain_digits)]
POPULATIONS = clean_populations()
