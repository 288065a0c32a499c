"""Do the same pixels carry two labels?

An image that occurs twice with different labels is wrong at least once. A model can only memorize it, and its accuracy
there is a matter of which copy is asked.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, clean_populations, digit_splits, fitted_target
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator, proportion_interval

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_SHOWN_PAIRS = 4


def contradictions(fingerprints: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image a row with the same pixels and another label, or -1: int64 (N,).

    Args:
        fingerprints: one hash per image, (N,).
        labels: class of each image, (N,).

    Example:
        >>> contradictions(np.array([7, 7, 8, 7]), np.array([0, 0, 0, 1])).tolist()
        [3, 3, -1, 0]
    """
    _, groups = np.unique(fingerprints, return_inverse=True)
    order = np.lexsort((np.arange(len(labels)), labels, groups))
    starts = np.concatenate([[0], np.nonzero(np.diff(groups[order]))[0] + 1]) if len(order) else np.zeros(0, int)
    first, last = np.empty(len(labels), int), np.empty(len(labels), int)
    first[groups[order[starts]]] = order[starts]
    last[groups[order[starts]]] = order[np.append(starts[1:] - 1, len(order) - 1)] if len(order) else []
    partner = np.where(labels[first[groups]] != labels, first[groups], last[groups])
    found: np.ndarray = np.where(labels[partner] != labels, partner, -1)
    return found


@check(
    question="Do the same pixels carry two labels?",
    statistic="share of images that also occur with another label",
    unit="share of images",
    direction="at_most",
    tolerance=0.01,
    gate=True,
    exact=True,
    remedy="Look at the listed images, keep the right label of each, and remove the other copies. Where both labels "
    "are right, the task needs several labels per image.",
    reference="Northcutt, Athalye and Mueller (2021), Pervasive label errors in test sets",
)
def contradictory_labels(context: CheckContext) -> Finding:
    """Images of which a copy with another label exists, over all images of both splits.

    Two images are the same where all their 8-bit pixels are. Where both splits are read whole, the share is a count
    without an interval. Where the least read share of a split is s, a contradiction is noticed with a probability of at
    least s (its copy must be read) and at most 1, so the interval is the exact binomial one with its high end divided
    by s.

    Tolerance: a policy, one image in a hundred, as for copies between the splits. MNIST, Fashion-MNIST and CIFAR-10
    have none.
    """
    target = context.target
    scans = {split: context.scan(split) for split in ("train", "validation") if split in target.splits}
    labels, fingerprints = (
        np.concatenate([getattr(s, of) for s in scans.values()]) for of in ("labels", "fingerprints")
    )
    if not len(labels):
        raise UnsupportedError("comparing labels needs images in data.train or data.validation")
    places = [(split, int(index)) for split, seen in scans.items() for index in seen.indices]
    partner = contradictions(fingerprints, labels)
    rows = np.nonzero(partner >= 0)[0]
    share, read = len(rows) / len(labels), min(seen.share for seen in scans.values())
    interval = (share, share)
    if read < 1:
        low, high = proportion_interval(len(rows), len(labels), context.confidence)
        interval = (low, min(1.0, high / read))
    partly = "" if read == 1 else f" ({read:.0%} of the images were read)"
    return context.judge(
        share,
        interval,
        n=len(labels),
        summary=f"{len(rows):,} of {len(labels):,} images also occur with another label, pixel for pixel{partly}.",
        locations=_locations(target, labels[rows]),
        evidence=_shown(target, places, partner, rows),
    )


def _locations(target: AuditTarget, labels: np.ndarray) -> list[Location]:
    """The classes of the contradicted images, with the number of their images."""
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:10]
    return [Location(float(counts[k]), class_name=target.classes[classes[k]]) for k in order]


def _shown(target: AuditTarget, places: list[tuple[str, int]], partner: np.ndarray, rows: np.ndarray) -> list[Evidence]:
    """All contradictions as a table, and a few of them as images."""
    if not len(rows):
        return []
    table = [[image_name(target, *places[row]), image_name(target, *places[partner[row]])] for row in rows]
    chosen = rows[np.linspace(0, len(rows) - 1, min(_SHOWN_PAIRS, len(rows))).astype(int)]
    both = [places[k] for row in chosen for k in (row, partner[row])]
    pictures = np.concatenate([small_images(target, split, np.array([position])) for split, position in both])
    return [
        evidence.images(
            "The same pixels with two labels",
            pictures,
            [image_name(target, split, position) for split, position in both],
        ),
        evidence.table("Images that also occur with another label", ["image", "the same pixels"], table),
    ]


def contradicting_digits(seed: int, relabeled: bool) -> AuditTarget:
    """Digits of which 2 % occur twice in training, the copies with another label or with their own."""
    splits, rng = digit_splits(seed), generator("planted", seed, "contradiction")
    images, labels = splits["train"]
    rows = rng.choice(len(labels), -(-len(labels) // 50), replace=False)
    known = (labels[rows] + relabeled * rng.integers(1, 10, len(rows))) % 10
    splits["train"] = (np.concatenate([images, images[rows]]), np.concatenate([labels, known]))
    return fitted_target("contradicting digits", splits, DIGITS)


PLANTS = [
    Plant(
        "2 % of the images repeated with another label",
        partial(contradicting_digits, relabeled=True),
        partial(contradicting_digits, relabeled=False),
    ),
]
POPULATIONS = clean_populations()
