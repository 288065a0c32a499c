"""Can a class be read from the outer ring of the image alone?

A tag, a ruler or a frame that goes with one class is the easiest thing to learn. The audit asks what the border says of
the class, the interior hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.dataset._classes import SHOWN_CLASSES, locate_classes
from cnnaudit.checks.dataset._clean_targets import (
    DIGITS,
    Splits,
    clean_populations,
    digit_splits,
    fitted_target,
    photograph_splits,
)
from cnnaudit.checks.scan import subsample
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import balanced
from cnnaudit.reading.hand_made import small_tree

if TYPE_CHECKING:
    from cnnaudit.checks.scan import Scan
    from cnnaudit.target import AuditTarget

GRID = 16
LEAVES = 4
FEWEST = 5
MOST = 2_000
_SHOWN_RINGS = 3


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
    The interval is a Bayesian bootstrap over the images of the class and of the rest, see `balanced.draw_counts`.

    Args:
        train, validation: ring cells (n, d) and labels (n,).
    """
    labels = (train[1], validation[1])
    classes = [k for k in np.unique(labels[0]) if all(FEWEST <= (of == k).sum() < len(of) for of in labels)]
    draws = max(2_000, min(balanced.DRAWS, 400_000 // max(len(classes), 1)))
    strict = 1 - (1 - confidence) / max(len(classes), 1)
    rows = []
    for k in progress(classes, "asking the border"):
        ways = [_one_way(*way, int(k), draws, rng) for way in ((train, validation), (validation, train))]
        point, drawn = (ways[0][0] + ways[1][0]) / 2, (ways[0][1] + ways[1][1]) / 2
        low, _ = balanced.interval(point, drawn, strict, (0.0, 1.0))
        _, high = balanced.interval(point, drawn, confidence, (0.0, 1.0))
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
    return float(point), np.asarray(
        auc(balanced.draw_counts(inside, rng, draws), balanced.draw_counts(outside, rng, draws))
    )


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


@check(
    question="Can a class be read from the outer ring of the image alone?",
    statistic="one-against-rest AUC of the outer ring, for the class that it gives away most",
    unit="AUC",
    direction="at_most",
    tolerance=0.96,
    gate=True,
    remedy="Look at the rings for a tag, frame, ruler or background that goes with the class, and crop or mask it in "
    "all images, or spread it over all classes.",
    reference="Lapuschkin et al. (2019), Unmasking Clever Hans predictors; Zech et al. (2018), laterality markers",
    needs=("train", "validation"),
)
def border_shortcut(context: CheckContext) -> Finding:
    """AUC with which the outer ring (a sixteenth of the image on each side) tells a class from the rest; worst class.

    A tree of 4 leaves on mean and spread of the ring's 60 cells, fitted to the training sample and asked of the
    validation sample: `ring_scores`.

    Natural borders carry some signal (sky around airplanes .76, MNIST .82). Tolerance: 99 % point of clean data, .954,
    reached where digits are enlarged until they touch the border, rounded up to .96.
    """
    target = context.target
    train, validation = (subsample(context.scan(split), MOST) for split in ("train", "validation"))
    cells = [(ring_cells(seen.thumbnails), seen.labels) for seen in (train, validation)]
    found = ring_scores(cells[0], cells[1], context.confidence, context.generator())
    if not len(found.classes):
        raise UnsupportedError(f"asking the border needs two classes, one with at least {FEWEST} images in each split")
    names = [target.classes[k] for k in found.classes]
    worst = int(found.auc.argmax())
    return context.judge(
        float(found.auc.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(train.labels) + len(validation.labels),
        summary=f"The outer ring alone tells class '{names[worst]}' from the others with an AUC of "
        f"{found.auc.max():.3f} (0.5 is chance, 1 is certain).",
        locations=locate_classes(names, found.auc, worst, found.low > context.tolerance),
        evidence=_shown(validation, found, target.classes, context.tolerance),
    )


def _shown(seen: Scan, found: RingScores, classes: Sequence[str], tolerance: float) -> list[Evidence]:
    """The mean outer ring of the classes it gives away most and of all others, the interior grayed out."""
    labels = seen.labels
    order = np.argsort(-found.auc, kind="stable")[:SHOWN_CLASSES]
    chosen = found.classes[order[:_SHOWN_RINGS]]
    groups = [(classes[k], labels == k) for k in chosen] + [("all other classes", ~np.isin(labels, chosen))]
    shown, captions = [], []
    for name, members in groups:
        if members.any():
            shown.append(_ring_only(seen.thumbnails[members].mean(axis=0) / 255))
            captions.append(f"{name}, mean of {int(members.sum())}")
    scored = {classes[found.classes[k]]: float(found.auc[k]) for k in order}
    return [
        evidence.images("The mean outer ring, interior hidden", np.stack(shown), captions),
        evidence.bars("What the ring says of each class", scored, label="AUC, .5 is chance", tolerance=tolerance),
    ]


def _ring_only(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) with everything gray but the outer ring."""
    height, width = image.shape[1:]
    down, right = (max(1, -(-side // GRID)) for side in (height, width))
    masked = image.copy()
    masked[:, down : height - down, right : width - right] = 0.5
    return masked


def all_photographs(seed: int, name: str) -> AuditTarget:
    """MNIST or CIFAR-10, all ten classes."""
    return fitted_target(name, photograph_splits(seed, name), DIGITS)


def tagged(seed: int, every_class: bool, source: str = "digits") -> AuditTarget:
    """Images with a bright tag in a corner: in one class, or in all of them."""
    splits = digit_splits(seed) if source == "digits" else photograph_splits(seed, source)
    marked: Splits = {}
    for split, (images, labels) in splits.items():
        altered = images.copy()
        altered[(labels == seed % 10) | every_class, :, -3:, -3:] = 0.9
        marked[split] = (altered, labels)
    return fitted_target("tagged images", marked, DIGITS)


def filled(seed: int, source: str = "digits") -> AuditTarget:
    """Digits enlarged until the strokes touch the border: a hard case, where the border belongs to the object."""
    import torch
    from torch.nn import functional

    splits = digit_splits(seed) if source == "digits" else photograph_splits(seed, source)
    enlarged: Splits = {}
    for split, (images, labels) in splits.items():
        boxes = []
        for image in torch.from_numpy(images):
            rows, columns = (torch.nonzero((image[0] > 0.2).any(dim=axis))[:, 0] for axis in (1, 0))
            box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            height, width = box.shape[1:]
            missing = (max(height, width) - width, max(height, width) - height)
            square = functional.pad(
                box, [missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2]
            )
            boxes.append(functional.interpolate(square[None], size=images.shape[2:], mode="bilinear")[0])
        enlarged[split] = (torch.stack(boxes).clamp(0, 1).numpy(), labels)
    return fitted_target("digits up to the border", enlarged, DIGITS)


PLANTS = [
    Plant("a tag in the corner of one class", partial(tagged, every_class=False), partial(tagged, every_class=True)),
]
POPULATIONS = [
    *clean_populations(),
    Population("digits up to the border", filled, 20),
    *(
        (
            Population("mnist, ten classes", partial(all_photographs, name="mnist"), 20),
            Population("cifar10, ten classes", partial(all_photographs, name="cifar10"), 20),
            Population("mnist, a tag in every class", partial(tagged, every_class=True, source="mnist"), 20),
            Population("cifar10, a tag in every class", partial(tagged, every_class=True, source="cifar10"), 20),
            Population("mnist up to the border", partial(filled, source="mnist"), 20),
        )
        if real.available()
        else ()
    ),
]
