"""Copies of the same picture: pixel for pixel, or the same picture saved again, moved, cropped, turned or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
_FLAT = 0.004  # details below one of 256 gray levels are rounding
_TINY = 8
_LUMA = (0.299, 0.587, 0.114)  # what JPEG keeps best
_FREQUENCIES = 7
_TRANSFORM = 32  # points of the Fourier transform on each axis
_SHIFT = 2  # pixels
_ZOOMS = (0, 2, -2, 4, -4)  # pixels cropped on each side, of the one image or (below 0) of the other
_STEPS = (-1.0, -0.5, 0.5, 1.0)  # pixels around one of these
_PROMISING = 0.5  # a copy has at least that much a pixel beside its crop
_FINE, _COARSE = 0.7, 2.0  # difference of Gaussians: standard deviations in pixels
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
    MNIST is called a copy of a training image; those of CIFAR-10 are copies, as can be seen.
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
        for edge, label in set(zip(bound[asked], queries.labels[asked])):
            members = asked[(bound[asked] == edge) & (queries.labels[asked] == label)]
            basis = members if len(members) >= _FEWEST else asked
            chance[members] = strangers_beyond(1 - similarity[basis], 1 - edge) / len(basis)
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
        rows, way = _candidates([(spectrum(_moved(block, *w)), spectra[min(w[2], 0)]) for w in ways], k)
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


def _moved(images: torch.Tensor, turns: int, mirror: bool, zoom: float) -> torch.Tensor:
    """The images turned, mirrored, and cropped where `zoom` is above 0."""
    import torch

    turned = torch.rot90(images, turns, (2, 3))
    return zoomed(turned.flip(3) if mirror else turned, max(zoom, 0))


def gray(thumbnails: np.ndarray) -> torch.Tensor:
    """Gray images, float32 (n, 1, h, w) in [0, 1], of thumbnails, uint8 (n, C, h, w)."""
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(thumbnails)).float() / 255
    channels = pixels.shape[1]
    weights = torch.tensor(_LUMA) if channels == 3 else torch.full((channels,), 1 / channels)
    return (pixels * weights.view(1, -1, 1, 1)).sum(dim=1, keepdim=True)


def spectrum(images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, 91): log(1 + |F|) at the lowest frequencies of the images (n, 1, h, w) less their mean.

    A Hann window (raised by .08) keeps the edges from speaking. Shifts hardly change it, half turns not at all.
    """
    import torch

    windows = [torch.hann_window(side, periodic=False) + 0.08 for side in images.shape[2:]]
    centered = (images - images.mean(dim=(2, 3), keepdim=True))[:, 0] * windows[0][:, None] * windows[1]
    low = _FREQUENCIES
    magnitude = torch.fft.rfft2(centered, s=(_TRANSFORM, _TRANSFORM)).abs()[:, :, :low]
    return _standardized(torch.log1p(torch.cat([magnitude[:, -low + 1 :], magnitude[:, :low]], dim=1)).flatten(1))


def zoomed(images: torch.Tensor, pixels: float) -> torch.Tensor:
    """The images cropped by so many pixels on each side and enlarged to their old size."""
    from torch.nn import functional

    if not pixels:
        return images
    import torch

    height, width = images.shape[2:]
    scale = torch.tensor([[1 - 2 * pixels / width, 0, 0], [0, 1 - 2 * pixels / height, 0]])
    grid = functional.affine_grid(scale.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def aligned_similarity(
    images: torch.Tensor, others: torch.Tensor, turns: int, mirror: bool, zoom: float
) -> torch.Tensor:
    """Similarity (n,) of pairs of gray images (n, 1, h, w), the largest one around that turn, mirroring and crop."""
    import torch

    upright = _moved(images, turns, mirror, 0)
    halves = [upright, upright.flip((2, 3))]
    scores = torch.stack([_similarity(half, others, zoom) for half in halves])
    chosen = torch.where((scores[0] >= scores[1]).view(-1, 1, 1, 1), *halves)
    best = scores.amax(dim=0)
    rows = torch.nonzero(best >= _PROMISING)[:, 0]
    for step in _STEPS if len(rows) else ():
        best[rows] = torch.maximum(best[rows], _similarity(chosen[rows], others[rows], zoom + step))
    return best


def _similarity(images: torch.Tensor, others: torch.Tensor, zoom: float) -> torch.Tensor:
    """The similarity at one crop, the largest one over shifts: (n,)."""
    pair = (zoomed(images, max(zoom, 0)), zoomed(others, max(-zoom, 0)))
    return _correlations(*(_blurred(of, _FINE) - _blurred(of, _COARSE) for of in pair)).amax(dim=1)


def _correlations(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Correlation of the images' inner parts with the others', shifted by up to 2 pixels each way: (n, 25)."""
    from torch.nn import functional

    height, width = images.shape[2:]
    edge = _SHIFT + (2 if min(height, width) >= 16 else 0)  # Gaussians see beyond the border of a copy that was moved
    inner = images[:, :, edge : height - edge, edge : width - edge]
    size, pixels = inner.shape[2:], inner[0].numel()
    inner = (inner - inner.mean(dim=(2, 3), keepdim=True)).flatten(1)
    rest = edge - _SHIFT
    reached = others[:, :, rest : height - rest, rest : width - rest]
    windows = functional.unfold(reached, size)
    products = (inner[:, None] @ windows)[:, 0]
    mean, square = (functional.avg_pool2d(of, size, stride=1).flatten(1) for of in (reached, reached**2))
    spread, other_spread = inner.norm(dim=1, keepdim=True) / pixels**0.5, (square - mean**2).clamp(min=0).sqrt()
    scores = products / pixels / (spread * other_spread).clamp(min=1e-12)
    told: torch.Tensor = scores * (spread >= _FLAT) * (other_spread >= _FLAT)
    return told


def _blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    import torch
    from torch.nn import functional

    reach = min(int(np.ceil(2.5 * sigma)), min(images.shape[2:]) - 1)
    weights = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def _standardized(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (n, d) of mean 0 and norm 1; 0 where they are constant."""
    centered = vectors - vectors.mean(dim=1, keepdim=True)
    standard: torch.Tensor = centered / centered.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return standard
