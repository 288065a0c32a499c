"""Can two sets of images be told apart? By how they look, not by what they show more of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

FEWEST = 20  # images of each set
FOLDS = 5
PENALTY = 0.3
_BATCH = 64
_NAMES = {
    "color": ("red less gray", "green less gray", "blue less gray", "saturation"),
    "tone": ("darkest value", "brightest value", "median brightness"),
    "spectrum": tuple(f"detail, band {k} of 5" for k in range(1, 6)),
    "noise": ("residual", "residual, median", "noise floor"),
    "compression": tuple(f"block coefficients, group {k}" for k in range(1, 5)),
}


@dataclass(frozen=True, eq=False)
class Told:
    """How well two sets are told apart.

    Attributes:
        auc: P(an image of the second set scores higher than one of the first), same group, in [0, 1].
        low, high: its interval.
    """

    auc: float
    low: float
    high: float


def hand_made(images: torch.Tensor) -> dict[str, np.ndarray]:
    """What the global cues read of images (n, C, H, W), each (n,), by name; cues that such images have not are left
    out."""
    import torch

    from cnnaudit import cues

    found: dict[str, np.ndarray] = {}
    for cue in (cues.Color(), cues.Tone(), cues.Spectrum(), cues.Noise(), cues.Compression()):
        try:
            parts = [cue.read(batch).double() for batch in torch.split(images, _BATCH)]
        except UnsupportedError:
            continue
        found.update(zip(_NAMES[cue.name], torch.cat(parts).numpy().T))
    return found


def held_out_scores(kernel: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How much each image looks like one of the second set, by kernel ridge regression on the other folds: (n,).

    Args:
        kernel: similarities (n, n).
        second: whether each image is of the second set, (n,).
    """
    from scipy.linalg import cho_factor, cho_solve

    order = rng.permutation(len(second))
    folds = np.empty(len(second), int)
    folds[order[np.argsort(second[order], kind="stable")]] = np.arange(len(second)) % FOLDS
    scores = np.empty(len(second))
    for fold in range(FOLDS):
        held, used = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        target = np.where(second[used], 0.5 / second[used].mean(), -0.5 / (~second[used]).mean())
        factor = cho_factor(kernel[np.ix_(used, used)] + PENALTY * np.eye(len(used)))
        scores[held] = kernel[np.ix_(held, used)] @ cho_solve(factor, target)
    return scores


def told_apart(scores: np.ndarray, second: np.ndarray, groups: np.ndarray, confidence: float) -> Told:
    """AUC of the scores between two sets, comparing images of the same group only, with its interval.

    A weighted mean over groups g of the Mann-Whitney AUC_g, weights n_g m_g / (n_g + m_g). The standard error is that
    of DeLong, DeLong and Clarke-Pearson (1988), each image's placement taken against the mean AUC so that groups of one
    image count too; the half width is at least 1 / min(n, m).

    Args:
        scores: (n,).
        second: whether each image is of the second set, (n,).
        groups: such as the class of each image, (n,); what one set shows more of is then no difference.

    Raises:
        UnsupportedError: no group has images of both sets.

    Example:
        >>> second = np.array([False] * 50 + [True] * 50)
        >>> told_apart(np.arange(100), second, np.zeros(100), 0.95).auc
        1.0
    """
    from scipy.stats import norm, rankdata

    parts: list[tuple[float, np.ndarray, np.ndarray]] = []
    for group in np.unique(groups):
        a, b = scores[(groups == group) & ~second], scores[(groups == group) & second]
        if len(a) and len(b):
            ranks = rankdata(np.concatenate([a, b]))
            of_b = (ranks[len(a) :] - rankdata(b)) / len(a)  # share of a that each b exceeds, half of the ties
            of_a = 1 - (ranks[: len(a)] - rankdata(a)) / len(b)
            parts.append((len(a) * len(b) / (len(a) + len(b)), of_a, of_b))
    if not parts:
        raise UnsupportedError("no class has images in both sets, so that they cannot be compared")
    total = sum(weight for weight, _, _ in parts)
    auc = sum(weight * of_b.mean() for weight, _, of_b in parts) / total
    variance = sum(
        (weight / total / len(placed)) ** 2 * ((placed - auc) ** 2).sum()
        for weight, of_a, of_b in parts
        for placed in (of_a, of_b)
    )
    smallest = min(sum(len(of_a) for _, of_a, _ in parts), sum(len(of_b) for _, _, of_b in parts))
    half = max(float(norm.ppf((1 + confidence) / 2)) * float(np.sqrt(variance)), 1 / smallest)
    return Told(float(auc), max(0.0, float(auc) - half), min(1.0, float(auc) + half))


def differing(
    features: dict[str, np.ndarray], second: np.ndarray, groups: np.ndarray, confidence: float
) -> list[tuple[str, Told, float, float]]:
    """Each feature's own AUC, corrected for asking all of them, and its medians in both sets; the clearest first."""
    each = 1 - (1 - confidence) / max(len(features), 1)
    rows = [
        (
            name,
            told_apart(of, second, groups, each),
            float(np.median(of[~second])),
            float(np.median(of[second])),
        )
        for name, of in features.items()
    ]
    return sorted(rows, key=lambda row: -abs(row[1].auc - 0.5))


def mixture_differences(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], alpha: float = 0.05
) -> list[tuple[str, float, float]]:
    """Classes whose share differs between two sets beyond chance: name, share in the first, share in the second.

    Fisher's exact test per class, Benjamini-Hochberg over the classes; the largest difference first.

    Args:
        first, second: labels of two sets, (n,) and (m,).
    """
    from scipy.stats import fisher_exact

    from cnnaudit.core.statistics import benjamini_hochberg

    counts = np.array([np.bincount(labels, minlength=len(names)) for labels in (first, second)])
    sizes = counts.sum(axis=1)
    p = np.array([fisher_exact([column, sizes - column])[1] for column in counts.T])
    shares = counts / sizes[:, None]
    found = np.flatnonzero(benjamini_hochberg(p, alpha))
    rows = [(names[int(k)], float(shares[0, k]), float(shares[1, k])) for k in found]
    return sorted(rows, key=lambda row: -abs(row[1] - row[2]))
