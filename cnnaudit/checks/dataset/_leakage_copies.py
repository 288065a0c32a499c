"""Copies of the same picture: pixel for pixel, or the same picture saved again, moved, cropped, turned or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.dataset._leakage_similarity import aligned_similarity, gray, moved, spectrum, zoomed
from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.scan import Scan

CANDIDATES = 3  # images that are compared closely with each one
STRICT = 0.995  # no bound is higher: a copy that was shifted, cropped, turned or mirrored reaches it
LENIENT = 0.9  # nor lower
_MARGIN = 4
_FEWEST = 20  # images of a class that have a bound of their own
_TAIL = 0.2  # share of the distances that the law of strangers is fitted to
_FEW = 5  # distances; with fewer between the bound and twice the bound, none is expected below it
_POWERS = (0.5, 50.0)  # of the law
_TINY = 8
_ZOOMS = (0, 2, -2, 4, -4)  # pixels cropped on each side, of the one image or (below 0) of the other
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Copies:
    """For each of n images, the most similar one among others.

    Attributes:
        exact: bool (n,), there is one with the same 8-bit pixels.
        near: bool (n,), not exact, but its similarity reaches the bound.
        similarity: float (n,), at most 1; 1 where exact.
        partner: int (n,), the row of that one.
        count: int (n,), how many copies were found.
        bound: float (n,), the similarity from which on another image is a near copy of this one.
        chance: float (n,), the share of strangers that reach the bound, images without an exact copy; else 0.
    """

    exact: np.ndarray
    near: np.ndarray
    similarity: np.ndarray
    partner: np.ndarray
    count: np.ndarray
    bound: np.ndarray
    chance: np.ndarray


def find_copies(queries: Scan, others: Scan) -> Copies:
    """The copies of each query among the others.

    *Exact*: equal 8-bit pixels. *Near*: the similarity reaches the bound of the query's class. The similarity of two
    images is the correlation over pixels of what a difference of Gaussians (.7 and 2 pixels) keeps of the two gray
    thumbnails: details, so that a common background or brightness makes no copies. It is the largest one over the eight
    turns and mirrorings (four where height and width differ), shifts of 2 pixels and crops of 4 pixels of either image.
    Three candidates are compared so: the others whose spectra are nearest. The logarithm of the magnitudes of the
    lowest spatial frequencies hardly sees shifts and does not see half turns; it is compared for four turns and five
    crops.

    The bound of a class comes from strangers, the least similar of the three candidates of each of its images without
    an exact copy (one near copy or two are not among them): 1 - (1 - q) / 4, q the larger of their 99 % points in the
    class and in all classes, within .9 and .995. It is .995 for classes of fewer than 20 such images. Flat images
    (details below a gray level) and images with a side of less than 8 pixels only have exact copies.

    Things of one shape (trousers) resemble each other up to the bound and beyond, so that some strangers reach it too.
    How many is extrapolated from those below it (`strangers_beyond`).

    Measured: 10,000 images against 10,000 take about a minute on one core. At most 1 test image in 1,000 of a class of
    MNIST is called a copy of a training image; what it finds in CIFAR-10 are copies, as can be seen.
    """
    first, last, order = _same_pixels(queries.fingerprints, others.fingerprints)
    exact = last > first
    n, asked = len(exact), np.flatnonzero(~exact)
    similarity, partner = np.ones(n), order[np.minimum(first, len(order) - 1)]
    count, bound, chance = last - first, np.full(n, STRICT), np.zeros(n)
    if len(asked):
        close, rows = _closest(queries.thumbnails[asked], others.thumbnails)
        best = close.argmax(axis=1)
        similarity[asked], partner[asked] = close.max(axis=1), rows[np.arange(len(asked)), best]
        bound[asked] = _bounds(close.min(axis=1), queries.labels[asked])
        count[asked] = (close >= bound[asked, None]).sum(axis=1)
        chance[asked] = _chances(1 - similarity[asked], 1 - bound[asked], queries.labels[asked])
    return Copies(exact, ~exact & (similarity >= bound), similarity, partner, count, bound, chance)


def strangers_beyond(distances: np.ndarray, bound: float) -> float:
    """How many strangers are expected closer than `bound`, from the distances of those beyond it.

    A power law d^k, fitted by maximum likelihood to the distances from the bound to their 20 % point u (to twice the
    bound at least): with m distances there, m / ((u / bound)^k - 1). Copies lie below the bound and have no say.

    Args:
        distances: 1 - similarity of each image to its nearest, (n,).

    Example:
        >>> round(strangers_beyond(np.linspace(0.001, 1, 1000), 0.05))  # evenly spread: k = 1
        53
    """
    from scipy.optimize import brentq

    outer = max(float(np.quantile(distances, _TAIL)), 2 * bound)
    tail = distances[(distances >= bound) & (distances < outer)]
    if len(tail) < _FEW or bound <= 0:
        return 0.0
    length = float(np.log(outer / bound))
    mean = float(np.log(outer / tail).mean())

    def excess(k: float) -> float:
        return float(1 / k - length / np.expm1(k * length) - mean)

    k = brentq(excess, *_POWERS) if excess(_POWERS[0]) > 0 > excess(_POWERS[1]) else _POWERS[int(mean < length / 2)]
    return float(len(tail) / np.expm1(k * length))


def _chances(distances: np.ndarray, bounds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share of strangers expected within the bound of each image's class: (n,); small classes share one law."""
    chances, small = np.empty(len(labels)), np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = labels == label
        if members.sum() >= _FEWEST:
            chances[members] = strangers_beyond(distances[members], bounds[members][0]) / members.sum()
        else:
            small |= members
    if small.any():
        chances[small] = strangers_beyond(distances, bounds[small][0]) / len(labels)
    return chances


def _same_pixels(asked: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the equal fingerprints of each one asked begin and end among the known, in the order of the third array."""
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    return np.searchsorted(ordered, asked, "left"), np.searchsorted(ordered, asked, "right"), order


def _bounds(strangers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The bound of each image's class, from the similarities of strangers to its images: (n,)."""
    bounds, overall = np.full(len(labels), STRICT), np.quantile(strangers, 0.99)
    for label in np.unique(labels):
        members = labels == label
        if members.sum() >= _FEWEST:
            typical = max(np.quantile(strangers[members], 0.99), overall)
            bounds[members] = np.clip(1 - (1 - typical) / _MARGIN, LENIENT, STRICT)
    return bounds


def _closest(asked: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each image asked its candidates' similarities and rows, (n, up to 3) each."""
    import torch

    k = min(CANDIDATES, len(known))
    if min(asked.shape[2:]) < _TINY:
        return np.zeros((len(asked), k)), np.tile(np.arange(k), (len(asked), 1))
    own, others = gray(asked), gray(known)
    ways = list(_ways(own.shape[2] == own.shape[3], min(own.shape[2:])))
    spectra = {zoom: spectrum(zoomed(others, -zoom)) for zoom in {way[2] for way in ways} if zoom <= 0}
    similarity, found = [], []
    for start in progress(range(0, len(own), _BLOCK), "comparing images"):
        block = own[start : start + _BLOCK]
        rows, way = _candidates([(spectrum(moved(block, *w)), spectra[min(w[2], 0)]) for w in ways], k)
        pairs = block.repeat_interleave(k, dim=0), others[rows.flatten()]
        scores = torch.zeros(len(pairs[0]))
        for number, w in enumerate(ways):
            chosen = torch.nonzero(way.flatten() == number)[:, 0]
            if len(chosen):
                scores[chosen] = aligned_similarity(pairs[0][chosen], pairs[1][chosen], *w)
        similarity.append(scores.view(-1, k).numpy())
        found.append(rows.numpy())
    return np.concatenate(similarity).astype(float), np.concatenate(found)


def _candidates(sides: list[tuple[torch.Tensor, torch.Tensor]], k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k others whose spectrum is nearest in any of the ways, and the number of that way: int64 (n, k) each."""
    import torch

    nearest = sides[0][0] @ sides[0][1].T
    for own, others in sides[1:]:
        nearest = torch.maximum(nearest, own @ others.T)
    rows = nearest.topk(k, dim=1).indices
    each = torch.stack([(own[:, None] * others[rows]).sum(dim=2) for own, others in sides])
    return rows, each.argmax(dim=0)


def _ways(square: bool, side: int) -> Iterator[tuple[int, bool, int]]:
    """Quarter turns (a half turn leaves the spectrum), mirroring and crop in pixels that are told apart by spectra."""
    for turns in (0, 1) if square else (0,):
        for mirror in (False, True):
            yield from ((turns, mirror, zoom) for zoom in _ZOOMS if abs(zoom) <= side / 7)
