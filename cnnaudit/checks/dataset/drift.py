"""Can images from production be told from validation images?

What was measured on validation holds in production as far as its images are the same kind. The audit asks a held-out
learner to tell the two, shows the images that lie far from all validation images, and says what accuracy the model's
confidence promises there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, digit_splits, fitted_target
from cnnaudit.checks.dataset._drift import FAR, Expected, distances, expected_accuracy
from cnnaudit.checks.dataset._features import affordable, kernel, looks
from cnnaudit.checks.dataset._small_images import small_images
from cnnaudit.checks.dataset._two_samples import (
    FEWEST,
    differing,
    hand_made,
    held_out_scores,
    mixture_differences,
    told_apart,
)
from cnnaudit.checks.dataset.split_shift import hint, mixture_table, shown, summary
from cnnaudit.checks.populations import available, build
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

SPLITS = ("validation", "production")
_SHOWN = 12


@check(
    question="Can production images be told from validation images?",
    statistic="AUC of a held-out learner that tells production from validation",
    unit=".5: chance, 1: perfect",
    direction="at_most",
    tolerance=0.6,
    gate=False,
    remedy="Look at the features and images below. Label a few hundred production images and measure the accuracy "
    "there; where it is lower, add such images to training and validation.",
    reference="Rabanser, Günnemann and Lipton (2019), Failing loudly; Garg et al. (2022), Leveraging unlabeled data to "
    "predict out-of-distribution performance",
    needs=("validation", "production"),
)
def drift(context: CheckContext) -> Finding:
    """AUC of kernel ridge regression that tells production from validation, in 5 folds; DeLong's interval.

    Features: those of `dataset.split_shift`, and what the model's last linear layer reads. Where production has labels,
    images of the same class are compared; without labels, another mixture of classes counts as drift too. At quick
    1,000 images of each split are read, 250 where they are larger than 128 x 128.

    Beside it, and not judged: images that lie farther from validation than 99 % of validation itself (mean distance to
    the 5 nearest images), and the accuracy that confidence promises (`expected_accuracy`), which is too high where the
    model is wrong and sure.

    Tolerance: that of `dataset.split_shift`; of 30 clean targets none fails, planted drift starts at .74.
    """
    import torch

    target = context.target
    rows = {split: target.draw(split, affordable(context), context.seed) for split in SPLITS}
    few = [f"{len(of)} in data.{split}" for split, of in rows.items() if len(of) < FEWEST]
    if few:
        raise UnsupportedError(f"telling production apart needs {FEWEST} images in each split, found {', '.join(few)}")
    labels = {split: np.asarray(target.split(split).labels)[of] for split, of in rows.items()}
    labeled = bool((labels["production"] >= 0).all())
    images = {split: target.split(split).read(of) for split, of in rows.items()}
    second = np.repeat([False, True], [len(of) for of in rows.values()])
    groups = np.concatenate(list(labels.values())) if labeled else np.zeros(len(second))
    features = hand_made(torch.cat(list(images.values())))
    seen = [np.concatenate(kinds) for kinds in zip(*(looks(target, of) for of in images.values()))]
    kinds = [np.stack(list(features.values()), axis=1), *seen]
    scores = held_out_scores(kernel(kinds, np.zeros(len(second))), second, context.generator("folds"))
    told = told_apart(scores, second, groups, context.confidence)
    clearest = differing(features, second, groups, context.confidence)
    mixture = mixture_differences(labels["validation"], labels["production"], target.classes) if labeled else []
    own, others = distances(seen[-1][~second], seen[-1][second])
    expected = _expected(context, images, labels)
    return context.judge(
        told.auc,
        (told.low, told.high),
        n=len(second),
        summary=" ".join(
            (
                summary("validation", "production", told, clearest, mixture),
                _promised(expected, labeled),
                *([] if labeled else ["Production has no labels, so that another mixture of classes counts as well."]),
            )
        ),
        hint=hint("production", clearest) if told.low > context.tolerance else "",
        locations=[Location(b - a, class_name=name) for name, a, b in mixture[:10]],
        evidence=[
            *_far(target, rows["production"], own, others),
            *shown(SPLITS, scores, second, clearest),
            *mixture_table(SPLITS, mixture),
            _accuracies(expected),
        ],
    )


def _expected(
    context: CheckContext, images: dict[str, torch.Tensor], labels: dict[str, np.ndarray]
) -> tuple[float, Expected, float | None]:
    """Accuracy on validation, expected accuracy in production, and the measured one where there are labels."""
    answers = {split: context.target.logits(of).softmax(1) for split, of in images.items()}
    sure = {split: of.max(1).values.double().numpy() for split, of in answers.items()}
    right = {split: of.argmax(1).numpy() == labels[split] for split, of in answers.items()}
    promised = expected_accuracy(
        sure["validation"], right["validation"], sure["production"], context.generator("expected"), context.confidence
    )
    labeled = bool((labels["production"] >= 0).all())
    return float(right["validation"].mean()), promised, float(right["production"].mean()) if labeled else None


def _promised(expected: tuple[float, Expected, float | None], labeled: bool) -> str:
    """The accuracies in one sentence."""
    known, promised, measured = expected
    told = f" (measured: {measured:.1%})" if labeled and measured is not None else ""
    return (
        f"By its confidence the model is right on {promised.accuracy:.1%} there{told}, against {known:.1%} on "
        "validation; images on which it is wrong and sure are not in that number."
    )


def _accuracies(expected: tuple[float, Expected, float | None]) -> Evidence:
    """The accuracies as a table."""
    known, promised, measured = expected
    rows = [
        ["validation, measured", f"{known:.3f}", ""],
        ["production, by confidence", f"{promised.accuracy:.3f}", f"{promised.low:.3f} to {promised.high:.3f}"],
        *([["production, measured", f"{measured:.3f}", ""]] if measured is not None else []),
    ]
    return evidence.table("Accuracy", ["", "accuracy", "interval (chance only)"], rows)


def _far(target: AuditTarget, positions: np.ndarray, own: np.ndarray, others: np.ndarray) -> list[Evidence]:
    """The production images farthest from validation, as images and as a file."""
    bound = float(np.quantile(own, FAR))
    order = np.argsort(-others, kind="stable")
    far = order[others[order] > bound]
    if not len(far):
        return []
    source = target.split("production")
    ratio = others / max(bound, 1e-9)
    first = far[:_SHOWN]
    return [
        evidence.images(
            f"Farthest from validation ({len(far):,} of {len(others):,} are farther than {FAR:.0%} of validation)",
            small_images(target, "production", positions[first]),
            [f"{source.name(int(positions[k]))}: {ratio[k]:.1f} times that distance" for k in first],
        ),
        evidence.table(
            "Production images far from validation, the farthest first",
            ["image", "distance (1: that of the farthest 1 % of validation)"],
            [[source.name(int(positions[k])), round(float(ratio[k]), 3)] for k in far],
            file="far.csv",
        ),
    ]


def halved(target: AuditTarget, gain: float = 1.0, share: float = 1.0, labeled: bool = True) -> AuditTarget:
    """Half of the validation images, at random, as production: a share of them in that brightness."""
    from dataclasses import replace

    from cnnaudit.target.arrays import ArraySplit

    source = target.split("validation")
    rng = generator("planted", target.name, "production")
    order = rng.permutation(len(source.labels))
    parts = {"validation": np.sort(order[::2]), "production": np.sort(order[1::2])}
    images = {split: source.read(rows).numpy() for split, rows in parts.items()}
    changed = rng.random(len(images["production"])) < share
    images["production"][changed] *= gain
    labels = {split: np.asarray(source.labels)[rows] for split, rows in parts.items()}
    made = {
        split: ArraySplit(split, of, labels[split] if labeled or split != "production" else None, len(target.classes))
        for split, of in images.items()
    }
    return replace(target, splits={**target.splits, **made}, _cache={})


def drifted_digits(seed: int, gain: float, share: float, labeled: bool) -> AuditTarget:
    """Digits with a little noise, and production like validation, or a share of it in another brightness."""
    splits = digit_splits(seed)
    for split, (images, labels) in splits.items():
        noise = generator("planted", seed, "drift", split).normal(0, 0.02, images.shape)
        splits[split] = (np.clip(0.05 + 0.9 * images + noise, 0, 1).astype(np.float32), labels)
    return halved(fitted_target("drifted digits", splits, DIGITS), gain, share, labeled)


def ordinary_halves(data: str, seed: int) -> AuditTarget:
    """An ordinary network and half of its validation images as production, with labels for even seeds."""
    return halved(build(data, seed), labeled=seed % 2 == 0)


PLANTS = [
    Plant(
        f"production {'' if labeled else 'without labels '}at {gain} of its brightness{where}",
        partial(drifted_digits, gain=gain, share=share, labeled=labeled),
        partial(drifted_digits, gain=1.0, share=share, labeled=labeled),
    )
    for gain, share, where, labeled in ((0.9, 1.0, "", True), (0.7, 0.5, " in half of the images", False))
]
POPULATIONS = [
    Population(f"halves of validation, ordinary networks on {data}", partial(ordinary_halves, data), 75)
    for data in available()
]
