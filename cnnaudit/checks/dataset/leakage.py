"""Are validation images duplicated in the training set?

A model may remember the answer of an image that it was trained on, so its validation accuracy measures memory. The
audit looks for the same pixels, and for the same picture saved again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.dataset._classes import SHOWN_CLASSES, THESIS, locate_classes
from cnnaudit.checks.dataset._clean_targets import (
    DIGITS,
    digit_splits,
    figures,
    fitted_target,
    plain_digits,
    scaled_figures,
    turned_figures,
)
from cnnaudit.checks.dataset._leakage_copies import Copies, find_copies
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.checks.populations import ordinary
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import MOST_ROWS, Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.checks.scan import Scan
    from cnnaudit.target import AuditTarget

_DRAWS = 20_000
_SHOWN_PAIRS = 4
_KINDS = (
    "Looked for: the same picture as it is, saved again, resized, brighter, shifted by up to 2 pixels, cropped by up "
    "to 4, mirrored or turned by quarters."
)


@dataclass(frozen=True, eq=False)
class CopyShares:
    """Per class of the validation images, in ascending order of labels: arrays of shape (k,).

    Attributes:
        n, exact, near: images looked at, and how many have an exact, or else a near, copy in training.
        strangers: of the near ones, how many may be strangers.
        share: of the class's images with a copy.
        low, high: its bounds. The low ones hold for all classes at once, since a failure picks the worst of them; a
            pass needs every class, so the high ones need no correction (intersection-union).
    """

    classes: np.ndarray
    n: np.ndarray
    exact: np.ndarray
    near: np.ndarray
    strangers: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def seen_copies(counts: np.ndarray) -> np.ndarray:
    """How many images have 0, 1, 2 and more copies among those read: (4,).

    Example:
        >>> seen_copies(np.array([0, 0, 1, 5])).tolist()
        [2, 1, 0, 1]
    """
    found: np.ndarray = np.bincount(np.minimum(counts, 3), minlength=4)
    return found


def true_share(seen: np.ndarray, read: float) -> np.ndarray:
    """The share of images with a copy, from how many have 0, 1, 2 and more copies in a sample of the training split.

    An image with c copies shows k of them with a binomial probability, C(c, k) s^k (1 - s)^(c - k), s the share read,
    and none with (1 - s)^c. Those whose copies were all missed are

        f0 = f1^2 (1 - s) / (s f1 + 2 (1 - s) f2)

    with f_k the images that show k: exact for any c, and a lower bound where c differs between images. With s = 1 it is
    0. Without f2 it is f1 (1 - s) / s, the most that it can be.

    Args:
        seen: (..., 4), as from `seen_copies`, or shares that add up to 1.
        read: s, in (0, 1].

    Source: Chao and Lin (2012), Nonparametric lower bounds for species richness and shared species richness under
    sampling without replacement.

    Example:
        >>> float(true_share(np.array([1 / 16, 4 / 16, 6 / 16, 5 / 16]), 0.5))  # all have four copies, half were read
        1.0
    """
    one, two = seen[..., 1], seen[..., 2]
    below = read * one + 2 * (1 - read) * two
    missed = np.divide(one**2 * (1 - read), below, out=np.zeros_like(below, dtype=float), where=below > 0)
    share: np.ndarray = np.minimum((seen[..., 1:].sum(axis=-1) + missed) / seen.sum(axis=-1), 1.0)
    return share


def copy_shares(
    copies: Copies, validation: Scan, train: Scan, confidence: float, rng: np.random.Generator
) -> CopyShares:
    """The share of each class's validation images that have a copy in training.

    Where both splits were read whole it is a count. Else it is `true_share`, with a Bayesian bootstrap over the images:
    Gamma weights of the counts, Jeffreys' prior of 1/2 on none and on one copy. In both, the lower bound leaves out as
    many near copies as may be strangers: the Poisson quantile of those expected (`Copies.chance`).
    """
    from scipy.stats import poisson

    classes, rows = np.unique(validation.labels, return_inverse=True)
    n, exact, near = (np.bincount(rows, weights=x).astype(int) for x in (np.ones(len(rows)), copies.exact, copies.near))
    seen = np.array([seen_copies(copies.count[rows == row]) for row in range(len(classes))])
    share = true_share(seen, train.share)
    tail, prior = (1 - confidence) / 2, np.array([0.5, 0.5, 0, 0])
    expected = np.bincount(rows, weights=copies.chance)
    strangers = np.minimum(near, poisson.ppf(1 - tail / len(classes), expected))
    copied = np.divide(exact + near - strangers, exact + near, out=np.ones(len(n)), where=exact + near > 0)
    if validation.share == train.share == 1:
        return CopyShares(classes, n, exact, near, strangers, share, share * copied, share)
    drawn = [true_share(rng.standard_gamma(one + prior, (_DRAWS, 4)), train.share) for one in seen]
    low = np.array([np.quantile(draws, tail / len(classes)) for draws in drawn])
    high = np.array([np.quantile(draws, 1 - tail) for draws in drawn])
    low = np.where(exact + near > 0, low * copied, 0.0)
    return CopyShares(classes, n, exact, near, strangers, share, low, high)


@check(
    question="Are validation images duplicated in the training set?",
    statistic="share of validation images with a copy in training, in the worst class",
    unit="share of images",
    direction="at_most",
    tolerance=0.01,
    gate=True,
    remedy="Remove the copies from one of the splits, and split by what images have in common (patient, scene, day) "
    "before any augmentation. Until then the validation accuracy measures memory.",
    reference=f"{THESIS}; Barz and Denzler (2020), Do we train on test data?",
    needs=("train", "validation"),
)
def leakage(context: CheckContext) -> Finding:
    """Share of validation images that are also in the training split, exactly or nearly, in the worst class.

    Exact and near copies as defined in `find_copies`. Both splits are read whole, so the share is a count without
    sampling error; only where a split is larger than the profile's `megapixels` it is estimated from a stratified
    sample, image by image, from how many copies of each were read (`true_share`). Which near copies are copies is not
    certain: the lower bound leaves out as many as may be different things of one shape (`strangers_beyond`).

    Tolerance: clean data have none (99 % point 0), so the bound is a policy: one image in a hundred, below which copies
    cannot move the accuracy by more than a point.
    """
    target = context.target
    validation, train = context.scan("validation"), context.scan("train")
    if not len(validation.labels) or not len(train.labels):
        raise UnsupportedError("looking for copies needs images in data.train and in data.validation")
    copies = find_copies(validation, train)
    found = copy_shares(copies, validation, train, context.confidence, context.generator())
    names = [target.classes[k] for k in found.classes]
    worst = int(found.share.argmax())
    total = int(found.exact.sum() + found.near.sum())
    partly = "" if train.share == 1 else f" ({train.share:.0%} of the training images were read)"
    return context.judge(
        float(found.share.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(validation.labels),
        summary=f"{total / found.n.sum():.1%} of the validation images ({total:,} of {found.n.sum():,}) have a copy in "
        f"the training set{partly}, {found.exact.sum():,} of them pixel for pixel; in class '{names[worst]}' "
        f"{found.share.max():.1%}{_doubt(found, worst)}. {_KINDS}",
        locations=locate_classes(names, found.share, worst, found.low > context.tolerance),
        evidence=_shown(target, validation, train, copies, found),
    )


def _doubt(found: CopyShares, worst: int) -> str:
    """How many of the worst class's copies may be images that only resemble each other."""
    number = int(found.strangers[worst])
    return f", of which {number} may be different things of one shape" if number else ""


def _shown(target: AuditTarget, validation: Scan, train: Scan, copies: Copies, shares: CopyShares) -> list[Evidence]:
    """Validation images beside their copies (without any, the most similar pair), counts, and all pairs."""

    def names(row: int) -> tuple[str, str]:
        partner = copies.partner[row]
        return (
            image_name(target, "validation", validation.indices[row]),
            image_name(target, "train", train.indices[partner]),
        )

    copied = np.nonzero(copies.exact | copies.near)[0]
    rows = copied[np.linspace(0, len(copied) - 1, min(_SHOWN_PAIRS, len(copied))).astype(int)] if len(copied) else []
    shown, captions = [], []
    for row in rows if len(rows) else [int(copies.similarity.argmax())]:
        shown.append(small_images(target, "validation", validation.indices[[row]]))
        shown.append(small_images(target, "train", train.indices[[copies.partner[row]]]))
        word = "same pixels" if copies.exact[row] else f"similarity {copies.similarity[row]:.4f}"
        own, other = names(row)
        captions += [own, f"{other}: {word}"]
    title = "Validation images, each with its copy in training" if len(copied) else "The most similar pair: no copy"
    order = np.argsort(-shares.share, kind="stable")[:SHOWN_CLASSES]
    counts = [
        [target.classes[shares.classes[k]], *(int(x[k]) for x in (shares.n, shares.exact, shares.near))] for k in order
    ]
    found = [
        evidence.images(title, np.concatenate(shown), captions),
        evidence.table("Copies by class", ["class", "validation images", "exact copies", "near copies"], counts),
    ]
    if len(copied):
        pairs = [[*names(int(row)), bool(copies.exact[row]), round(float(copies.similarity[row]), 4)] for row in copied]
        columns = ["validation image", "training image", "same pixels", "similarity"]
        found.append(evidence.table("All copies", columns, pairs[:MOST_ROWS], file="copies.csv"))
    return found


def _mirrored(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored, darker and noisy."""
    return np.asarray(0.85 * images[..., ::-1] + rng.normal(0, 0.01, images.shape))


def _cropped(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarged by one pixel on each side and cropped to the old size."""
    import torch
    from torch.nn import functional

    larger = [side + 2 for side in images.shape[2:]]
    return functional.interpolate(torch.from_numpy(images), larger, mode="bilinear")[:, :, 1:-1, 1:-1].numpy()


def _shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moved by one pixel to the right, the first column repeated."""
    return np.concatenate([images[..., :1], images[..., :-1]], axis=-1)


def _turned(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turned by a quarter."""
    return np.rot90(images, axes=(2, 3))


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def leaking_digits(seed: int, share: float = 0.02, change: Change | None = None) -> AuditTarget:
    """Digits: that share of each class's validation images is also in training, as it is or changed."""
    splits = digit_splits(seed)
    rng = generator("planted", seed, "leak")
    images, labels = splits["validation"]
    chosen = [
        rng.permutation(np.nonzero(labels == k)[0])[: int(np.ceil(share * (labels == k).sum()))] for k in range(10)
    ]
    rows = np.concatenate(chosen)
    copies = images[rows] if change is None else np.clip(change(images[rows], rng), 0, 1).astype(np.float32)
    train, known = splits["train"]
    splits["train"] = (np.concatenate([train, copies]), np.concatenate([known, labels[rows]]))
    return fitted_target("leaking digits", splits, DIGITS)


PLANTS = [
    Plant("2 % of the validation images copied into training", leaking_digits, plain_digits),
    *(
        Plant(f"5 % copied, {name}", partial(leaking_digits, share=0.05, change=change), plain_digits)
        for name, change in (
            ("mirrored, darker and noisy", _mirrored),
            ("shifted by a pixel", _shifted),
            ("cropped by a pixel", _cropped),
            ("turned by a quarter", _turned),
        )
    ),
    Plant(
        "scaled figures without noise (dataset 1.3)",
        partial(figures, transformation="scaling", noise=0, inverted=False),
        scaled_figures,
    ),
]
# without CIFAR-10: one or two of a hundred images have copies, as Barz and Denzler (2020) report and as can be seen
POPULATIONS = [
    *(population for population in ordinary(seeds=300) if "cifar10" not in population.name),
    Population("scaled figures with noise (3.0)", scaled_figures, 20),
    Population("turned figures with noise (4.0)", turned_figures, 20),
]
