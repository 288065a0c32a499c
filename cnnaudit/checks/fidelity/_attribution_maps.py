"""Attribution maps as rows of numbers: computed without warnings, pooled onto a grid of cells, compared by rank."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.attribution.methods import METHODS

GRID = 28
_FLAT = 1e-9


def quiet(name: str, *arguments: Any) -> torch.Tensor:
    """Runs the method of that name with its warnings suppressed: `compute(*arguments)`, detached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: torch.Tensor = METHODS[name].compute(*arguments)
    return found.detach()


def cells(maps: torch.Tensor, grid: int = GRID) -> np.ndarray:
    """Maps (N, H, W) averaged over a grid of at most `grid` x `grid` cells: float64 (N, rows * columns).

    Photographs are compared and occluded by cells, since a single pixel of them is neither seen nor missed.
    """
    size = min(grid, maps.shape[-2]), min(grid, maps.shape[-1])
    pooled = F.adaptive_avg_pool2d(maps.detach().double()[:, None], size)
    found: np.ndarray = pooled.flatten(1).cpu().numpy()
    return found


def flat(rows: np.ndarray) -> np.ndarray:
    """Which maps (N, cells) are the same everywhere and say nothing: bool (N,)."""
    spread = rows.max(1) - rows.min(1)
    result: np.ndarray = spread <= _FLAT * np.abs(rows).max(1)
    return result


def rank_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation between rows: (N,), in [-1, 1].

    A map that is the same everywhere has no ranks: 1 beside another such map, 0 beside any other.

    Args:
        first, second: (N, cells).

    Source: Spearman 1904; as a similarity of saliency maps Adebayo et al. 2018 (arXiv 1810.03292).

    Example:
        >>> rank_similarity(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 10.0, 100.0]])).tolist()
        [1.0]
    """
    from scipy.stats import rankdata

    ranks = [rankdata(rows, axis=1) for rows in (first, second)]
    centered = [r - r.mean(1, keepdims=True) for r in ranks]
    scale = np.sqrt((centered[0] ** 2).sum(1) * (centered[1] ** 2).sum(1))
    empty = np.stack([flat(first), flat(second)])
    correlation = (centered[0] * centered[1]).sum(1) / np.where(scale > 0, scale, 1)
    result: np.ndarray = np.where(empty.all(0), 1.0, np.where(empty.any(0), 0.0, correlation.clip(-1, 1)))
    return result
