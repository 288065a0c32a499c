"""Which images are poor pictures?

Blank, dark, blurred or odd-sized images are often broken files or another kind of picture. The audit lists those that
stand apart from the others, so that somebody looks at them; a poor picture may be just what the model must cope with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, clean_populations, digit_splits, fitted_target, plain_digits
from cnnaudit.checks.dataset._image_quality import KINDS, findings, measures
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator
from cnnaudit.target import LABELED

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_SHOWN_IMAGES, _SHOWN_OF_A_KIND = 24, 6
_MEGAPIXELS = 50  # read of each split at quick
_CHUNK = 8_000_000  # pixel values read at once

Change = Callable[[np.ndarray], np.ndarray]


@check(
    question="Which images are poor pictures?",
    statistic="share of images that are blank, dark, blurred or otherwise unlike the rest",
    unit="share of images",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy="Look through the list. Remove what is broken, and keep what the model will meet: there it must be right as "
    "well.",
    reference="Kuan and Mueller (2022), Back to the basics: revisiting out-of-distribution detection baselines (the "
    "package cleanvision lists the same kinds)",
)
def quality(context: CheckContext) -> Finding:
    """Images that are flat, dark, bright, of low contrast, blurred, of little information, or of odd size or aspect.

    Kinds are defined in `findings`: an image counts where it is poor by itself and stands apart from the median of its
    split. At quick at most 50 megapixels of each split are read (1,000 images of 224 x 224), of larger splits a
    stratified sample. The share describes; it accuses nobody.

    Tolerance: a policy, one image in twenty; of 40 clean targets the largest share is .002.
    """
    target = context.target
    places, labels, marks = [], [], []
    for split in (name for name in LABELED if name in target.splits):
        rows = _rows(context, split)
        found = _read(target, split, rows)
        places += [(split, int(row)) for row in rows]
        labels.append(np.asarray(target.split(split).labels)[rows])
        marks.append(np.stack([found.get(kind, np.zeros(len(rows), bool)) for kind in KINDS], axis=1))
    if not places:
        raise UnsupportedError("looking at pictures needs images in data.train or data.validation")
    table = np.concatenate(marks)
    listed: np.ndarray = np.asarray(table.any(axis=1))
    kinds = [f"{int(n):,} {kind}" for kind, n in zip(KINDS, table.sum(axis=0)) if n]
    return context.judge_share(
        int(listed.sum()),
        len(listed),
        summary=f"{int(listed.sum()):,} of {len(listed):,} images stand apart as pictures"
        + (f": {', '.join(kinds)}." if kinds else "."),
        locations=_classes(target, np.concatenate(labels)[listed]),
        evidence=_shown(target, places, table),
    )


def _rows(context: CheckContext, split: str) -> np.ndarray:
    """Positions of the images to look at."""
    images, (height, width) = context.profile.images, context.target.input.size
    most = None if images is None else max(images, _MEGAPIXELS * 1_000_000 * images // 500 // (height * width))
    return context.target.draw(split, most, context.seed)


def _read(target: AuditTarget, split: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Which of those images are of which kind."""
    source, (height, width) = target.split(split), target.input.size
    size = max(1, _CHUNK // (height * width * target.input.channels))
    parts = [measures(source.read(rows[start : start + size])) for start in range(0, len(rows), size)]
    facts = source.properties(rows)
    return findings({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, facts)


def _classes(target: AuditTarget, labels: np.ndarray) -> list[Location]:
    """The classes of the listed images, with the number of their images."""
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:10]
    return [Location(float(counts[k]), class_name=target.classes[classes[k]]) for k in order]


def _shown(target: AuditTarget, places: list[tuple[str, int]], table: np.ndarray) -> list[Evidence]:
    """A few images of each kind, and the list."""
    rows = np.flatnonzero(table.any(axis=1))
    if not len(rows):
        return []
    names = list(KINDS)
    chosen: dict[int, str] = {}
    for column, kind in enumerate(names):
        for row in np.flatnonzero(table[:, column])[:_SHOWN_OF_A_KIND]:
            chosen.setdefault(int(row), kind)
    first = list(chosen)[:_SHOWN_IMAGES]
    pictures = [small_images(target, places[row][0], np.array([places[row][1]])) for row in first]
    lines = [[image_name(target, *places[row]), ", ".join(np.array(names)[table[row]]), places[row][0]] for row in rows]
    counts = [[kind, told, int(n)] for (kind, told), n in zip(KINDS.items(), table.sum(axis=0)) if n]
    return [
        evidence.images(
            "Images that stand apart",
            np.concatenate(pictures),
            [f"{chosen[row]}: {image_name(target, *places[row])}" for row in first],
        ),
        evidence.table("Kinds", ["kind", "what it means", "images"], counts),
        evidence.table("The images", ["image", "kinds", "split"], lines, file="images.csv"),
    ]


def blurred(images: np.ndarray) -> np.ndarray:
    """Averaged over 7 x 7 pixels."""
    import torch
    from torch.nn import functional

    found: np.ndarray = functional.avg_pool2d(
        torch.from_numpy(images), 7, stride=1, padding=3, count_include_pad=False
    ).numpy()
    return found


def dark(images: np.ndarray) -> np.ndarray:
    """A tenth of the brightness."""
    return images * np.float32(0.1)


def blank(images: np.ndarray) -> np.ndarray:
    """Gray."""
    return np.full_like(images, 0.5)


def poor_digits(seed: int, change: Change, share: float) -> AuditTarget:
    """Digits of which that share is changed, in both splits."""
    splits = digit_splits(seed)
    for split, (images, labels) in splits.items():
        rows = generator("planted", seed, "quality", split).random(len(labels)) < share
        splits[split] = (np.where(rows[:, None, None, None], change(images), images).astype(np.float32), labels)
    return fitted_target("poor digits", splits, DIGITS)


PLANTS = [
    Plant(f"{share:.0%} of the images {name}", partial(poor_digits, change=change, share=share), plain_digits)
    for name, change, share in (("blurred", blurred, 0.2), ("dark", dark, 0.1), ("blank", blank, 0.1))
]
POPULATIONS = clean_populations()
