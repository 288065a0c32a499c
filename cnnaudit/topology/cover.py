"""The cover of Mapper: overlapping boxes of equal size over the range of a lens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnaudit.core.errors import DataError


def cover(lens: np.ndarray, bins: int | Sequence[int], overlap: float | Sequence[float]) -> list[np.ndarray]:
    """The points in each box that holds any, boxes in lexicographic order, points ascending.

    Along one axis of range [a, b], `bins` centers stand at a + (b - a) (2k + 1) / (2 bins), and each interval reaches
    (b - a) / (2 bins (1 - overlap)) to either side, ends included: neighbors share `overlap` of their length.

    Args:
        lens: (N, d); constant axes have one place that every interval holds.
        bins: intervals per axis, one number or d.
        overlap: share of an interval's length in [0, 1), one number or d.

    Raises:
        DataError: NaN in the lens, or bins or an overlap out of range.

    Source: G. Singh, F. Mémoli, G. Carlsson, Topological methods for the analysis of high dimensional data sets, 2007;
    overlap as in arXiv 1706.00204.

    Example:
        >>> [box.tolist() for box in cover(np.array([[0.0], [0.5], [1.0]]), bins=2, overlap=0.2)]
        [[0, 1], [1, 2]]
    """
    lens = np.asarray(lens, dtype=float)
    _require(lens, bins, overlap)
    axes = lens.shape[1]
    points, boxes = np.arange(len(lens)), np.zeros(len(lens), dtype=np.int64)
    for axis, count, share in zip(range(axes), np.broadcast_to(bins, axes), np.broadcast_to(overlap, axes)):
        first, last = _intervals(lens[:, axis], int(count), float(share))
        copies = (last - first + 1)[points]
        before = np.cumsum(copies) - copies
        step = np.arange(copies.sum()) - np.repeat(before, copies)
        points, boxes = np.repeat(points, copies), np.repeat(boxes * int(count), copies)
        boxes += first[points] + step
    order = np.argsort(boxes, kind="stable")
    points, boxes = points[order], boxes[order]
    return np.split(points, np.flatnonzero(np.diff(boxes)) + 1) if len(points) else []


def _intervals(values: np.ndarray, bins: int, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last interval that holds each value; they are contiguous, since both ends ascend."""
    low, high = values.min(), values.max()
    inset = (high - low - (bins - 1) / bins * (high - low)) / 2
    radius = (high - low) / (2 * bins * (1 - overlap))
    centers = np.linspace(low + inset, high - inset, num=bins)
    first = np.searchsorted(centers + radius, values, side="left")
    last = np.searchsorted(centers - radius, values, side="right") - 1
    return first, np.maximum(last, first - 1)


def _require(lens: np.ndarray, bins: int | Sequence[int], overlap: float | Sequence[float]) -> None:
    if lens.ndim != 2 or not lens.size:
        raise DataError(f"cover: expected a lens of shape (points, axes) with at least one point, got {lens.shape}")
    if not np.isfinite(lens).all():
        raise DataError(f"cover: the lens has {int((~np.isfinite(lens)).any(1).sum())} points with NaN or infinity")
    if np.any(np.asarray(bins) < 1):
        raise DataError(f"cover: bins must be at least 1, got {bins}")
    if np.any(np.asarray(overlap) < 0) or np.any(np.asarray(overlap) >= 1):
        raise DataError(f"cover: overlap must be in [0, 1), got {overlap}")
