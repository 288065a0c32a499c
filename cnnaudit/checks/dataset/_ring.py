"""What the outer ring of an image says about its class, the interior unseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnaudit.core.progress import progress
from cnnaudit.core.statistics.balanced import DRAWS, draw_counts, interval
from cnnaudit.reading.hand_made import small_tree

GRID = 16
LEAVES = 4
FEWEST = 5
MOST = 2_000


@dataclass(frozen=True, eq=False)
class RingScores:
    """How well each class is told from all others by the ring alone.

    Attributes:
        classes: labels, int64 (k,), of the classes with enough images.
        auc: (k,) in [0, 1]; .5 is chance.
        low, high: its bounds (k,). The low ones hold for all classes at once, as a failure picks the worst of them; a
            pass needs every class, so the high ones need no correction (intersection-union).
    """

    classes: np.ndarray
    auc: np.ndarray
    low: np.ndarray
    high: np.ndarray


def ring_cells(thumbnails: np.ndarray) -> np.ndarray:
    """Mean and spread of the pixels in each of the 60 outer cells of a 16 x 16 grid, by channel: float32 (n, d).

    The ring is a sixteenth of the image wide on each side (2 pixels of 28, 14 of 224).

    Args:
        thumbnails: uint8 (n, C, h, w), as in `Scan.thumbnails`.

    Example:
        >>> ring_cells(np.zeros((2, 3, 32, 32), dtype=np.uint8)).shape
        (2, 360)
    """
    import torch
    from torch.nn import functional

    height, width = (min(GRID, side) for side in thumbnails.shape[2:])
    outer = torch.ones(height, width, dtype=torch.bool)
    outer[1:-1, 1:-1] = False
    pixels = torch.from_numpy(np.ascontiguousarray(thumbnails)).float() / 255
    mean = functional.adaptive_avg_pool2d(pixels, (height, width))
    square = functional.adaptive_avg_pool2d(pixels**2, (height, width))
    spread = (square - mean**2).clamp(min=0).sqrt()
    cells = torch.cat([mean[:, :, outer].flatten(1), spread[:, :, outer].flatten(1)], dim=1)
    found: np.ndarray = cells.numpy()
    return found


def ring_scores(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    confidence: float,
    rng: np.random.Generator,
) -> RingScores:
    """One-against-rest AUC of the ring: for each class a tree of 4 leaves, fitted on one split and asked of the other.

    The AUC is the mean of both directions. A tag is one rule on one or two cells, which a small tree finds from few
    examples; a strong probe would read the object itself where it reaches the border (.99 on tightly cropped digits).
    The interval is a Bayesian bootstrap over the images of the class and of the rest, see `scores.draw_counts`.

    Args:
        train, validation: ring cells (n, d) and labels (n,).
    """
    labels = (train[1], validation[1])
    classes = [k for k in np.unique(labels[0]) if all(FEWEST <= (of == k).sum() < len(of) for of in labels)]
    draws = max(2_000, min(DRAWS, 400_000 // max(len(classes), 1)))
    strict = 1 - (1 - confidence) / max(len(classes), 1)
    rows = []
    for k in progress(classes, "asking the border"):
        ways = [_one_way(*way, int(k), draws, rng) for way in ((train, validation), (validation, train))]
        point, drawn = (ways[0][0] + ways[1][0]) / 2, (ways[0][1] + ways[1][1]) / 2
        low, _ = interval(point, drawn, strict, (0.0, 1.0))
        _, high = interval(point, drawn, confidence, (0.0, 1.0))
        rows.append((point, low, high))
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return RingScores(np.array(classes, dtype=np.int64), table[:, 0], table[:, 1], table[:, 2])


def _one_way(
    known: tuple[np.ndarray, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray],
    label: int,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, np.ndarray]:
    """AUC for one class of a tree fitted on one split and asked of the other, and what it could be: (draws,)."""
    tree = small_tree(known[0], known[1] == label, LEAVES, FEWEST)
    values, bins = np.unique(tree.predict_proba(asked[0])[:, 1], return_inverse=True)
    inside, outside = (np.bincount(bins[of], minlength=len(values)) for of in (asked[1] == label, asked[1] != label))
    point = auc(inside / inside.sum(), outside / outside.sum())
    return float(point), np.asarray(auc(draw_counts(inside, rng, draws), draw_counts(outside, rng, draws)))


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
