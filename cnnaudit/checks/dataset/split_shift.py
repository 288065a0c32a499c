"""Can training images be told from validation images?

Validation says what the model is worth only where its images come from where the training images come from. The audit
asks a held-out learner to tell the two, comparing images of the same class only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, clean_populations, digit_splits, fitted_target
from cnnaudit.checks.dataset._features import LARGE, kernel
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.checks.dataset._two_samples import (
    FEWEST,
    Told,
    differing,
    hand_made,
    held_out_scores,
    mixture_differences,
    told_apart,
)
from cnnaudit.checks.random_filters import filter_features
from cnnaudit.checks.scan import shrink
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

SPLITS = ("train", "validation")
_SHOWN = 6


@check(
    question="Can training images be told from validation images?",
    statistic="AUC of a held-out learner that tells train from validation, within classes",
    unit=".5: chance, 1: perfect",
    direction="at_most",
    tolerance=0.6,
    gate=False,
    remedy="Find out what was done to one split and not to the other (camera, date, crop, compression, augmentation), "
    "and split again at random, or say for which images the validation numbers hold.",
    reference="Rabanser, Günnemann and Lipton (2019), Failing loudly: detecting dataset shift",
    needs=("train", "validation"),
)
def split_shift(context: CheckContext) -> Finding:
    """AUC of kernel ridge regression that tells train from validation, in 5 folds, images of the same class compared.

    Features: color, tone, spectrum, noise and compression as the global cues read them, and random filters. The model's
    own features are not asked: they tell what it was trained on from what it was not. The interval is DeLong's
    (`told_apart`). Of images larger than 128 x 128 every second one is looked at. Classes whose share differs between
    the splits are named beside it; they do not count as a shift of the images.

    Tolerance: of 35 clean targets the largest AUC is .58 (.64 where validation has 77 images), and no interval lies
    beyond .6; planted shifts start at .72 (half of the validation images darker).
    """
    parts = [_affordable(*context.sample(split), context.indices(split)) for split in SPLITS]
    few = [f"{len(labels)} in data.{split}" for split, (_, labels, _) in zip(SPLITS, parts) if len(labels) < FEWEST]
    if few:
        raise UnsupportedError(f"telling the splits apart needs {FEWEST} images in each, found {', '.join(few)}")
    import torch

    images = torch.cat([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    second = np.repeat([False, True], [len(part[1]) for part in parts])
    features = hand_made(images)
    kinds = [np.stack(list(features.values()), axis=1), filter_features(shrink(images)).astype(float)]
    scores = held_out_scores(kernel(kinds, np.zeros(len(labels))), second, context.generator("folds"))
    told = told_apart(scores, second, labels, context.confidence)
    rows = differing(features, second, labels, context.confidence)
    train, validation = (np.asarray(context.target.split(split).labels) for split in SPLITS)
    mixture = mixture_differences(train, validation, context.target.classes)
    return context.judge(
        told.auc,
        (told.low, told.high),
        n=len(labels),
        summary=summary("training", "validation", told, rows, mixture),
        hint=hint("validation", rows) if told.low > context.tolerance else "",
        locations=[Location(b - a, class_name=name) for name, a, b in mixture[:10]],
        evidence=[
            *shown(SPLITS, scores, second, rows),
            *_typical(context.target, parts, scores, second),
            *mixture_table(SPLITS, mixture),
        ],
    )


def _affordable(
    images: torch.Tensor, labels: torch.Tensor, positions: np.ndarray
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Images, labels and positions: all of a sample, or every second one of large images."""
    rows = slice(None, None, 2 if images.shape[2] * images.shape[3] > LARGE else 1)
    return images[rows], labels[rows].numpy(), positions[rows]


def summary(
    first: str,
    second: str,
    told: Told,
    rows: Sequence[tuple[str, Told, float, float]],
    mixture: Sequence[tuple[str, float, float]],
) -> str:
    """What was found, in a sentence or two."""
    name, own, _, _ = rows[0]
    clear = own.low > 0.5 or own.high < 0.5
    text = f"A {second} image is told from a {first} one with an AUC of {told.auc:.2f}" + (
        f"; alone, '{name}' reaches {max(own.auc, 1 - own.auc):.2f}." if clear else "."
    )
    if mixture:
        of, before, after = mixture[0]
        text += f" Class '{of}' is {before:.1%} of {first} and {after:.1%} of {second} images."
    return text


def hint(second: str, rows: Sequence[tuple[str, Told, float, float]]) -> str:
    """The feature that differs most, where one clearly does."""
    name, own, before, after = rows[0]
    if not (own.low > 0.5 or own.high < 0.5):
        return ""
    return f"'{name}' is {'higher' if own.auc > 0.5 else 'lower'} in {second} (median {after:.3g}, else {before:.3g})."


def shown(
    names: Sequence[str], scores: np.ndarray, second: np.ndarray, rows: Sequence[tuple[str, Told, float, float]]
) -> list[Evidence]:
    """The scores of both sets, and the features that differ."""
    table = [
        [name, round(own.auc, 3), f"{own.low:.2f} to {own.high:.2f}", float(f"{a:.3g}"), float(f"{b:.3g}")]
        for name, own, a, b in rows
    ]
    return [
        evidence.boxes(
            f"How much images look like {names[1]}",
            {names[0]: scores[~second], names[1]: scores[second]},
            label=f"held-out score (below 0: like {names[0]})",
        ),
        evidence.table(
            "How well each feature alone tells them apart",
            ["feature", "AUC", "interval", f"median, {names[0]}", f"median, {names[1]}"],
            table,
        ),
    ]


def mixture_table(names: Sequence[str], mixture: Sequence[tuple[str, float, float]]) -> list[Evidence]:
    """Classes of which one set has more; nothing where there are none."""
    rows = [[of, f"{a:.2%}", f"{b:.2%}"] for of, a, b in mixture]
    return [evidence.table("Classes whose share differs", ["class", *names], rows)] if rows else []


def _typical(
    target: AuditTarget,
    parts: Sequence[tuple[torch.Tensor, np.ndarray, np.ndarray]],
    scores: np.ndarray,
    second: np.ndarray,
) -> list[Evidence]:
    """The images that look most like their own split."""
    found = []
    for split, (_, _, positions), own in zip(SPLITS, parts, (-scores[~second], scores[second])):
        first = positions[np.argsort(-own, kind="stable")[:_SHOWN]]
        captions = [image_name(target, split, position) for position in first]
        found.append(evidence.images(f"Most typical of {split}", small_images(target, split, first), captions))
    return found


def shifted_digits(seed: int, gain: float, share: float) -> AuditTarget:
    """Digits with a little noise; that share of the validation images has another brightness."""
    splits = digit_splits(seed)
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "shift", split)
        bright = np.clip(0.05 + 0.9 * images + rng.normal(0, 0.02, images.shape), 0, 1)
        changed = (rng.random(len(labels)) < share) & (split == "validation")
        bright[changed] *= gain
        splits[split] = (bright.astype(np.float32), labels)
    return fitted_target("shifted digits", splits, DIGITS)


PLANTS = [
    Plant(
        f"validation at {gain} of its brightness{where}",
        partial(shifted_digits, gain=gain, share=share),
        partial(shifted_digits, gain=1.0, share=share),
    )
    for gain, share, where in ((0.9, 1.0, ""), (0.7, 0.5, " in half of the images"))
]
POPULATIONS = clean_populations()
