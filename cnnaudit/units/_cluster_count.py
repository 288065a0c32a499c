"""How many clusters a cloud of units supports, against units of the same mean and covariance that have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.statistics import generator, permutation_p_value

ALPHA = 0.01
SMALLEST = 0.005  # of the spread: a deviation from the null below it is of no use, even where it is certain
FEWEST = 4  # units; of three, no partition says anything
_ROUNDS, _LOOKS = 5, 4
_FLOOR = 1e-12  # of the spread: what is left where all members of each cluster are equal


@dataclass(frozen=True, eq=False)
class ClusterCount:
    """The spread within k clusters, of the units and of the null.

    Attributes:
        numbers: k = 1 .. most, (most,).
        observed: log of the spread within k clusters, relative to that of one, (most,).
        null: the same for each draw of the null, (draws, most).
        p_value: of the largest standardized gap over k.
        clusters: how many the data support; 1 where nothing is beyond the null.
        saturated: whether that is the largest k that was tried, so that there may be more.
    """

    numbers: np.ndarray
    observed: np.ndarray
    null: np.ndarray
    p_value: float
    clusters: int
    saturated: bool

    @property
    def gap(self) -> np.ndarray:
        """The null's mean less the observed, (most,): above 0 where clusters hold less spread than chance leaves."""
        return np.asarray(self.null.mean(axis=0) - self.observed)

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation of the null, (most,)."""
        return np.asarray(self.null.std(axis=0, ddof=1))

    @property
    def beyond(self) -> float:
        """By how much less spread the supported clusters hold than as many of the null: 1 - exp(-gap), 0 for one."""
        return float(1 - np.exp(-self.gap[self.clusters - 1]))


def cluster_count(rows: np.ndarray, most: int = 10, *, draws: int = 200, seed: int = 0) -> ClusterCount:
    """The number of clusters by the gap statistic of the Ward dendrogram, against lumpless rows of equal covariance.

    W(k) is the sum of squared distances to the centers within the k clusters of the cut, and gap(k) = E log(W*(k) /
    W*(1)) - log(W(k) / W(1)), with W* that of null rows. One null draw rotates the rows among one another (Y = Q X with
    Q a random rotation of the n units that keeps their mean), which keeps mean and covariance and makes every
    projection Gaussian; each row is then normalized as X was, after the variances of its axes have been matched so that
    they come out as those of X. Rows that are Gaussian before their normalization, of any covariance, therefore have
    one cluster, and so has any smooth or low-rank layer that is not lumped. A null that shuffles the entries of each
    column instead would call every smooth layer clustered.

    If the largest standardized gap over k is not beyond the null's (p > .01) the answer is 1. Otherwise it is the
    smallest k that is itself beyond it, by 0.5 % of the spread or more, and after which the gap rises no more:
    gap(k + 1) - gap(k) <= 2 s, with s the standard deviation of that difference in the null. Where it rises to the end
    (small groups such as pairs of like units, not a few clusters) the answer is `most`, `saturated`.

    Kernels that are one kernel or its negative are one cluster here, on a line through 0: the null has both poles too.
    Two clusters alone are the hardest case, since a Gaussian with so long an axis is split in two as well: of 32 units
    that are two clear lumps a third are recognized, of 64 all.

    Args:
        rows: (n, d), each of mean 0 and the same norm, as `normalized` makes them.
        most: the largest k.

    Raises:
        DataError: no finite (n, d) rows, or `most` or `draws` below 2.

    Source: R. Tibshirani, G. Walther, T. Hastie, Estimating the number of clusters in a data set via the gap statistic,
        2001; the Gaussian null of Liu, Hayes, Nobel, Marron, SigClust, JASA 2008; rotation tests: Ø. Langsrud, 2005.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> lumps = 2 * rng.standard_normal((3, 50))[np.arange(60) % 3] + rng.standard_normal((60, 50))
        >>> cluster_count(lumps - lumps.mean(1, keepdims=True)).clusters
        3
    """
    from threadpoolctl import threadpool_limits

    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all() or most < 2 or draws < 2:
        raise DataError(f"cluster_count: expected finite rows (n, d), most and draws >= 2, got {rows.shape}")
    most = min(most, len(rows) - 1)
    centered = rows - rows.mean(axis=0)
    if len(rows) < FEWEST or not np.square(centered).sum() > _FLOOR * np.square(rows).sum():
        one = np.zeros(1)
        return ClusterCount(np.ones(1, dtype=int), one, np.zeros((draws, 1)), 1.0, 1, False)
    with threadpool_limits(1):  # small matrices: more threads only wait for one another
        draw = _unclustered(rows, generator(seed, "clusters"))
        observed = _spreads(rows @ rows.T, most)
        null = np.array([_spreads(draw(), most) for _ in range(draws)])
    return _judged(observed, null)


def _judged(observed: np.ndarray, null: np.ndarray) -> ClusterCount:
    """The number of clusters that the curves support."""
    most = len(observed)
    gap, spread = null.mean(axis=0) - observed, np.maximum(null.std(axis=0, ddof=1), _FLOOR)
    highest = ((null.mean(axis=0) - null) / spread)[:, 1:].max(axis=1)
    beyond = (gap / spread > np.quantile(highest, 1 - ALPHA)) & (1 - np.exp(-gap) >= SMALLEST)
    rises = np.diff(gap) > 2 * np.diff(null, axis=1).std(axis=0, ddof=1)
    p_value = permutation_p_value(float((gap / spread)[1:].max()), highest)
    found = [k for k in range(1, most - 1) if beyond[k] and not rises[k]]
    clusters = 1 if p_value > ALPHA or not beyond.any() else found[0] + 1 if found else most
    return ClusterCount(np.arange(1, most + 1), observed, null, p_value, clusters, clusters == most)


def _spreads(gram: np.ndarray, most: int) -> np.ndarray:
    """log(W(k) / W(1)) for k = 1 .. most: a merge of Ward's dendrogram at height h adds h^2 / 2 to the spread."""
    from scipy.cluster.hierarchy import linkage

    heights = linkage(condensed(gram), "ward")[:, 2]
    within = np.cumsum(heights**2 / 2)[::-1][:most]
    return np.asarray(np.log(np.maximum(within / within[0], _FLOOR)))


def condensed(gram: np.ndarray) -> np.ndarray:
    """The pairwise Euclidean distances, n (n - 1) / 2 of them, of rows with those inner products (n, n)."""
    squared = np.diag(gram)
    upper = np.triu_indices(len(gram), 1)
    return np.asarray(np.sqrt(np.maximum(squared[upper[0]] + squared[upper[1]] - 2 * gram[upper], 0)))


def _unclustered(rows: np.ndarray, rng: np.random.Generator) -> Callable[[], np.ndarray]:
    """A function that draws the inner products (n, n) of null rows.

    All is computed on the principal axes of the rows; what the mean has outside of them is one further number.
    """
    n, mean = len(rows), rows.mean(axis=0)
    centered = rows - mean
    variances, axes = np.linalg.eigh(centered @ centered.T)
    kept = variances > variances.max() * 1e-10
    variances, axes = variances[kept], axes[:, kept]
    middle = axes.T @ (centered @ mean) / np.sqrt(variances)
    outside = max(float(mean @ mean - middle @ middle), 0.0)
    norm = float(np.square(rows).sum(axis=1).mean())
    wanted = variances.copy()

    def draw() -> tuple[np.ndarray, np.ndarray]:
        noise = rng.standard_normal((n, len(wanted)))
        turned, _ = np.linalg.qr(noise - noise.mean(axis=0))
        found = turned * np.sqrt(wanted) + middle
        scale = np.sqrt(norm / (np.square(found).sum(axis=1) + outside))
        return found * scale[:, None], scale

    for _ in range(_ROUNDS):
        looks = [found - found.mean(axis=0) for found, _ in (draw() for _ in range(_LOOKS))]
        wanted *= variances / np.mean([np.square(look).sum(axis=0) for look in looks], axis=0)

    def gram() -> np.ndarray:
        found, scale = draw()
        return np.asarray(found @ found.T + outside * np.outer(scale, scale))

    return gram
