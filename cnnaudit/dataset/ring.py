"""What the outer ring of an image says about its class, the interior unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.dataset.features import small_tree
from cnnaudit.dataset.scores import draw_counts, interval

if TYPE_CHECKING:
    import torch

GRID = 16
LEAVES = 4
FEWEST = 5
_BATCH = 64


@dataclass(frozen=True, eq=False)
class RingScores:
    """How well each class is told from all others by the ring alone.

    Attributes:
        classes: labels, int64 (k,), of the classes with enough images.
        auc: (k,) in [0, 1]; .5 is chance.
        low, high: its interval (k,), simultaneous over the classes.
    """

    classes: np.ndarray
    auc: np.ndarray
    low: np.ndarray
    high: np.ndarray


def ring_cells(images: torch.Tensor) -> np.ndarray:
    """Mean and spread of the pixels in each of the 60 outer cells of a 16 x 16 grid, by channel: float32 (n, d).

    The ring is a sixteenth of the image wide on each side (2 pixels of 28, 14 of 224).

    Example:
        >>> import torch
        >>> ring_cells(torch.rand(2, 3, 32, 32)).shape
        (2, 360)
    """
    import torch
    from torch.nn import functional

    height, width = (min(GRID, side) for side in images.shape[2:])
    outer = torch.ones(height, width, dtype=torch.bool)
    outer[1:-1, 1:-1] = False
    cells = []
    for batch in torch.split(images, _BATCH):
        mean = functional.adaptive_avg_pool2d(batch, (height, width))
        square = functional.adaptive_avg_pool2d(batch**2, (height, width))
        spread = (square - mean**2).clamp(min=0).sqrt()
        cells.append(torch.cat([mean[:, :, outer].flatten(1), spread[:, :, outer].flatten(1)], dim=1))
    found: np.ndarray = torch.cat(cells).numpy()
    return found


def ring_scores(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    confidence: float,
    rng: np.random.Generator,
) -> RingScores:
    """One-against-rest AUC of the ring: for each class a tree of 4 leaves, fitted on train, asked of validation.

    A tag is one rule on one or two cells, which a small tree finds from few examples; a strong probe would read the
    object itself where it reaches the border (.99 on tightly cropped digits). The interval is a Bayesian bootstrap over
    the images of the class and of the rest, see `scores.draw_counts`, with the error divided by the number of classes.

    Args:
        train, validation: ring cells (n, d) and labels (n,).
    """
    cells, labels = train
    asked, truth = validation
    found, counts = np.unique(truth, return_counts=True)
    enough = [int(k) for k, n in zip(found, counts) if n >= FEWEST and (labels == k).sum() >= FEWEST]
    classes = [k for k in enough if (truth != k).any() and (labels != k).any()]
    share = 1 - (1 - confidence) / max(len(classes), 1)
    rows = []
    for k in classes:
        tree = small_tree(cells, labels == k, LEAVES, FEWEST)
        scores = tree.predict_proba(asked)[:, 1]
        rows.append(_auc_with_interval(scores, truth == k, share, rng))
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return RingScores(np.array(classes, dtype=np.int64), table[:, 0], table[:, 1], table[:, 2])


def _auc_with_interval(
    scores: np.ndarray, positive: np.ndarray, confidence: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """AUC of scores that take few values, with its interval."""
    values, bins = np.unique(scores, return_inverse=True)
    inside = np.bincount(bins[positive], minlength=len(values))
    outside = np.bincount(bins[~positive], minlength=len(values))
    point = float(auc(inside / inside.sum(), outside / outside.sum()))
    draws = auc(draw_counts(inside, rng), draw_counts(outside, rng))
    low, high = interval(point, np.asarray(draws), confidence, (0.0, 1.0))
    return point, low, high


def auc(inside: np.ndarray, outside: np.ndarray) -> np.ndarray | float:
    """P(score of an inside image > that of an outside one) + P(equal) / 2, from the shares of each score (..., m).

    Scores are in ascending order.

    Example:
        >>> float(auc(np.array([0.0, 1.0]), np.array([0.5, 0.5])))
        0.75
    """
    below = np.cumsum(outside, axis=-1) - outside
    result: np.ndarray | float = (inside * (below + outside / 2)).sum(axis=-1)
    return result
