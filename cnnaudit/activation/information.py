"""How much the maps of single filters say about the classes, and whether the active ones say more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FOLDS = 5
PENALTY = 0.1
FEWEST = 5  # images of a class, one for each fold


@dataclass(frozen=True, eq=False)
class Agreement:
    """Activity beside information, filter by filter, for one class each.

    Attributes:
        classes: (K,), the classes that have enough images.
        activity: (K, units), the share of the class's images on which the filter is active.
        information: (K, units), the cross-validated AUC of the class against the rest from the filter's map alone.
        active: (N, units), what `activity` averages.
        placements: (N, K, units), DeLong's placement values: for an image of the class the share of the other images
            that the probe puts below it (a tie counts half), for another image the share of the class's above it.
        member: bool (N, K), whether the image is of the class.
    """

    classes: np.ndarray
    activity: np.ndarray
    information: np.ndarray
    active: np.ndarray
    placements: np.ndarray
    member: np.ndarray

    def correlations(self) -> np.ndarray:
        """(K,): Spearman's rank correlation of activity and information over the filters, 0 where one is constant."""
        return rank_correlation(self.activity, self.information)

    @property
    def best(self) -> float:
        """The AUC above .5 of the most informative third of the filters, mean over the classes."""
        return _best(self.information)

    def carried(self, rows: np.ndarray | None = None) -> np.ndarray:
        """(K,): the AUC above .5 of the filters that are active on the class, relative to `best`.

        The mean over the filters is weighted by their activity: about 1 where the active filters tell the class as
        well as the most informative third, 0 where they tell nothing.

        With `rows`, those of images drawn anew: their AUC is the mean of the placement values over the class plus that
        over the rest, less the AUC of all (the linearization of DeLong et al. 1988), so that no probe is fitted again.
        NaN where a class was not drawn.
        """
        if rows is None:
            return _carried(self.activity, self.information)
        drawn = np.bincount(rows, minlength=len(self.member))[:, None]
        inside, outside = self.member * drawn, ~self.member * drawn
        if not inside.any(axis=0).all():
            return np.full(len(self.classes), np.nan)
        inside, outside = inside / inside.sum(axis=0), outside / outside.sum(axis=0)
        both = np.einsum("nk,nkc->kc", inside + outside, self.placements, optimize=True)
        return _carried(inside.T @ self.active, both - self.information)

    def permuted(self, permutations: int, rng: np.random.Generator) -> np.ndarray:
        """(permutations,): the mean of `carried` where the filters of the information are shuffled."""
        orders = (rng.permutation(self.activity.shape[1]) for _ in range(permutations))
        return np.array([_carried(self.activity, self.information[:, order]).mean() for order in orders])


def agreement(
    features: np.ndarray, active: np.ndarray, labels: np.ndarray, most_classes: int | None = None
) -> Agreement | None:
    """Whether the filters that are active on a class are those that tell it from the others.

    Each filter is a probe of its own: ridge regression of the class (1, else 0) on the filter's pooled map,
    standardized, in 5 folds that all hold the classes in equal shares; the penalty is .1 per image.

    Args:
        features: (N, units, d), each filter's map pooled to d numbers.
        active: bool (N, units), see `ActiveFilters.active`.
        labels: int (N,).
        most_classes: where there are more, the ones with the most images count.

    Returns:
        None where fewer than two classes have 5 images.
    """
    found, counts = np.unique(labels, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:most_classes]
    classes = np.sort(found[largest[counts[largest] >= FEWEST]])
    if len(classes) < 2:
        return None
    member = labels[:, None] == classes
    scores = _held_out(features.astype(float), member.astype(float), _folds(labels))
    placements = _placements(scores, member)
    inside = member / member.sum(axis=0)
    information = np.einsum("nk,nkc->kc", inside, placements, optimize=True)
    return Agreement(classes, inside.T @ active, information, active.astype(float), placements, member)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis, with mean ranks for ties; 0 where either is constant."""
    return _correlation(ranks(first), ranks(second))


def ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks along the last axis, centered."""
    from scipy.stats import rankdata

    ranked = rankdata(values, axis=-1)
    return np.asarray(ranked - ranked.mean(axis=-1, keepdims=True))


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of centered values along the last axis."""
    scale = np.sqrt((first**2).sum(-1) * (second**2).sum(-1))
    products = (first * second).sum(-1)
    return np.asarray(np.divide(products, scale, out=np.zeros_like(products), where=scale > 0))


def _best(information: np.ndarray) -> float:
    """The AUC above .5 of the most informative third of the filters, mean over the classes."""
    third = max(1, information.shape[1] // 3)
    return float(np.sort(information, axis=1)[:, -third:].mean() - 0.5)


def _carried(activity: np.ndarray, information: np.ndarray) -> np.ndarray:
    """(K,): the activity-weighted mean of the AUC above .5, relative to `_best`; 0 where no filter is active."""
    total = activity.sum(axis=1)
    told = (activity * (information - 0.5)).sum(axis=1)
    return np.asarray(np.divide(told, total, out=np.zeros_like(told), where=total > 0) / max(_best(information), 1e-9))


def _folds(labels: np.ndarray) -> np.ndarray:
    """The fold of each image: the members of a class are dealt out in turn."""
    order = np.argsort(labels, kind="stable")
    folds = np.empty(len(labels), dtype=int)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def _held_out(features: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The probes' scores for held-out images, (N, K, units); there is no intercept, which would tell the fold."""
    n, units, d = features.shape
    scores = np.zeros((n, targets.shape[1], units))
    for fold in range(FOLDS):
        used, held = folds != fold, folds == fold
        center, spread = features[used].mean(axis=0), features[used].std(axis=0)
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-6 * np.abs(center) + 1e-12)
        x = ((features[used] - center) * scale).transpose(1, 0, 2)
        gram = x.transpose(0, 2, 1) @ x / used.sum() + PENALTY * np.eye(d)
        moment = x.transpose(0, 2, 1) @ (targets[used] - targets[used].mean(axis=0)) / used.sum()
        weights = np.linalg.solve(gram, moment)
        scores[held] = (((features[held] - center) * scale).transpose(1, 0, 2) @ weights).transpose(1, 2, 0)
    return scores


def _placements(scores: np.ndarray, member: np.ndarray) -> np.ndarray:
    """The placement value of every image (N, K, units), from mean ranks among all and among its own kind."""
    from scipy.stats import rankdata

    placements = np.empty(scores.shape)
    for k, of_class in enumerate(member.T):
        ranked = rankdata(scores[:, k], axis=0)
        for own, others in ((of_class, ~of_class), (~of_class, of_class)):
            below = (ranked[own] - rankdata(scores[own, k], axis=0)) / others.sum()
            placements[own, k] = below if own is of_class else 1 - below
    return placements
