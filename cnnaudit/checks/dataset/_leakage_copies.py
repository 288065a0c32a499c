"""Copies of the same picture: pixel for pixel, or the same picture saved again, brighter, noisier or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.scan import Scan
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import proportion_interval

if TYPE_CHECKING:
    import torch

GRID = 16
SIMILAR = 0.995
_FLAT = 0.01  # a thumbnail with less contrast (standard deviation) is nobody's near copy
_SMOOTH = 0.004  # details below one of 256 gray levels are rounding
_TINY = 8
_LUMA = [0.299, 0.587, 0.114]  # what JPEG keeps best
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Twins:
    """For each of n images, the most similar one among others.

    Attributes:
        exact: bool (n,), there is one with the same 8-bit pixels.
        near: bool (n,), not exact, but its similarity reaches `SIMILAR`.
        similarity: float (n,), at most 1; 1 where exact.
        partner: int (n,), the row of that one.
    """

    exact: np.ndarray
    near: np.ndarray
    similarity: np.ndarray
    partner: np.ndarray


@dataclass(frozen=True, eq=False)
class CopyShares:
    """Per class of the validation images, in ascending order of labels: arrays of shape (k,).

    Attributes:
        n, exact, near: images looked at, and how many have an exact, or else a near, copy in training.
        share: of the class's images with a copy.
        low, high: its bounds. The low ones hold for all classes at once, since a failure picks the worst of them; a
            pass needs every class, so the high ones need no correction (intersection-union).
    """

    classes: np.ndarray
    n: np.ndarray
    exact: np.ndarray
    near: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def copy_shares(twins: Twins, validation: Scan, train: Scan, confidence: float) -> CopyShares:
    """The share of each class's validation images that have a twin in training.

    Where both splits were looked through whole it is a count, and its interval a point. Else it is (copies found) /
    (n * share of training looked at), with an exact binomial interval.
    """
    classes, rows = np.unique(validation.labels, return_inverse=True)
    n, exact, near = (np.bincount(rows, weights=x).astype(int) for x in (np.ones(len(rows)), twins.exact, twins.near))
    share = (exact + near) / n / train.share
    low, high = share, share
    if validation.share < 1 or train.share < 1:
        counts = [(int(found), int(size)) for found, size in zip(exact + near, n)]
        strict = 1 - (1 - confidence) / len(classes)
        low = np.array([proportion_interval(*count, strict)[0] for count in counts]) / train.share
        high = np.array([proportion_interval(*count, confidence)[1] for count in counts]) / train.share
    return CopyShares(classes, n, exact, near, *(np.minimum(x, 1.0) for x in (share, low, high)))


def find_twins(queries: Scan, others: Scan) -> Twins:
    """The twin of each query among the others, if any.

    *Exact*: equal 8-bit pixels. *Near*: similarity >= .995, where the similarity of two images is

        (r(thumbnails) + r(details)) / 2,

    r the correlation over pixels, the thumbnail the gray image (luma) averaged to 16 x 16, its details the thumbnail
    minus its 3 x 3 mean; the larger one with the query as it is and mirrored. Details keep a common background (a
    vignette, a studio wall) from making strangers alike. It finds copies saved as JPEG, resized, brightened, mirrored
    or with little noise, and not crops or turned copies. Flat images (thumbnail contrast below .01) and images with a
    side of less than 8 pixels only have exact twins.
    """
    import torch

    own = describe(queries.thumbnails)
    mirrored = describe(queries.thumbnails[..., ::-1].copy())
    best = torch.full((len(own),), -1.0)
    partner = torch.zeros(len(own), dtype=torch.int64)
    for start, block in progress(list(_blocks(others.thumbnails)), "comparing images"):
        described = describe(block)
        for first in range(0, len(own), _BLOCK):
            rows = slice(first, first + _BLOCK)
            alike = torch.maximum(own[rows] @ described.T, mirrored[rows] @ described.T)
            value, column = alike.max(dim=1)
            better = value > best[rows]
            best[rows] = torch.where(better, value, best[rows])
            partner[rows] = torch.where(better, column + start, partner[rows])
    return _with_exact(queries, others, best.numpy().astype(float), partner.numpy())


def _with_exact(queries: Scan, others: Scan, similarity: np.ndarray, partner: np.ndarray) -> Twins:
    """The nearest ones, overruled by those with the same pixels."""
    order = np.argsort(others.fingerprints, kind="stable")
    ordered = others.fingerprints[order]
    place = np.minimum(np.searchsorted(ordered, queries.fingerprints), max(len(ordered) - 1, 0))
    exact = ordered[place] == queries.fingerprints
    return Twins(
        exact=exact,
        near=~exact & (similarity >= SIMILAR),
        similarity=np.where(exact, 1.0, np.clip(similarity, -1, 1)),
        partner=np.where(exact, order[place], partner),
    )


def describe(thumbnails: np.ndarray) -> torch.Tensor:
    """Descriptors (n, 2 * 256) of thumbnails, uint8 (n, C, h, w), whose inner products are similarities; 0 if tiny."""
    import torch
    from torch.nn import functional

    if min(thumbnails.shape[2:]) < _TINY:
        return torch.zeros(len(thumbnails), 1)
    pixels = torch.from_numpy(np.ascontiguousarray(thumbnails)).float() / 255
    weights = torch.tensor(_LUMA if pixels.shape[1] == 3 else [1.0]).view(1, -1, 1, 1)
    gray = (pixels * weights).sum(dim=1, keepdim=True)
    small = functional.adaptive_avg_pool2d(gray, (min(GRID, gray.shape[2]), min(GRID, gray.shape[3])))
    details = small - functional.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)
    parts = [_standardized(small, _FLAT), _standardized(details, _SMOOTH)]
    return torch.cat(parts, dim=1) / 2**0.5


def repeats(fingerprints: np.ndarray) -> float:
    """The share of images that are exact copies of an earlier one.

    Example:
        >>> repeats(np.array(["a", "a", "b", "a"]))
        0.5
    """
    return 1 - len(np.unique(fingerprints)) / max(len(fingerprints), 1)


def _standardized(maps: torch.Tensor, floor: float) -> torch.Tensor:
    """Each map as a vector of mean 0 and norm 1; 0 where its standard deviation is below the floor."""
    vectors = maps.flatten(1)
    vectors = vectors - vectors.mean(dim=1, keepdim=True)
    norm = vectors.norm(dim=1, keepdim=True)
    kept = norm >= floor * vectors.shape[1] ** 0.5
    standard: torch.Tensor = vectors / norm.clamp(min=1e-12) * kept
    return standard


def _blocks(thumbnails: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The thumbnails in blocks, each with the row it starts at."""
    for start in range(0, len(thumbnails), _BLOCK):
        yield start, thumbnails[start : start + _BLOCK]
