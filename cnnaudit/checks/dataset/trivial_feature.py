"""Do a few hand-made features explain as much as the model?

A model has no reason to learn more than the easiest sufficient feature. The audit asks what a small decision tree
achieves on features that anybody could count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._classes import THESIS, answers_of, labels_of
from cnnaudit.checks.dataset._clean_targets import (
    DIGITS,
    Splits,
    clean_populations,
    digit_splits,
    fitted_target,
    scaled_figures,
    turned_figures,
)
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import balanced, generator
from cnnaudit.reading.hand_made import Explained, explain, hand_made

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_TREE_IMAGES = 10_000
_SHOWN_COLUMNS = 6
CONSTANT = 0.035


def within_shares(features: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """The share of each feature's variance that lies within the classes, in [0, 1]; all classes count alike.

    Args:
        features: by name, (n,) each.
        labels: (n,).

    Example:
        >>> within_shares({"area": np.array([1.0, 1.0, 3.0, 3.0])}, np.array([0, 0, 1, 1]))
        {'area': 0.0}
    """
    shares = {}
    for name, column in features.items():
        groups = [column[labels == k] for k in np.unique(labels)]
        within = float(np.mean([group.var() for group in groups]))
        total = within + float(np.var([group.mean() for group in groups]))
        shares[name] = within / total if total > 0 else 1.0
    return shares


@check(
    question="Do hand-made features that hardly vary within a class explain as much as the model?",
    statistic="above-chance accuracy of a small tree on hand-made features, over the model's",
    unit="ratio",
    direction="at_most",
    tolerance=0.85,
    gate=True,
    remedy="Balance the named feature over the classes (same area, brightness, color, file format), or show that it is "
    "the property the model is meant to use. A model has no reason to learn more than the easiest sufficient feature.",
    reference=f"{THESIS}, figure 5",
    needs=("train", "validation"),
)
def trivial_feature(context: CheckContext) -> Finding:
    """How much of what the model achieves a small tree achieves on features that are nearly constant within classes.

    (b_tree - 1/K) / (1 - 1/K) over the same for the model, b the balanced accuracy on the validation sample. The tree
    has max(6, 2K) leaves and is fitted to the training sample; features: `cnnaudit.reading.hand_made.hand_made` and the
    files' size and aspect, those with at most .035 of their variance within the classes (`within_shares`). Without one
    the statistic is 0. A tree on all features is reported beside it. The interval is a Bayesian bootstrap over the
    validation images. A model at chance cannot be explained: not applicable.

    Ordinary content varies within its class even where it tells two classes apart: over all pairs of classes of MNIST,
    Fashion-MNIST and CIFAR-10 the least share within classes is .095 (edges of 0 and 1), while a tree on all features
    explains .99 of a good model on 1 against 8. The area of figures of one size has .001, a color cast per class .012.

    Tolerance: as before the restriction to nearly constant features, the 99 % point of clean data, rounded up to .85.
    """
    target = context.target
    truth, answers = labels_of(context.sample("validation"), "validation"), answers_of(context, "validation")
    rng = context.generator()
    if balanced.balanced_interval(answers, truth, context.confidence, rng)[0] <= 0:
        raise UnsupportedError(
            f"on {len(truth)} images the model is not clearly above chance, so there is nothing to explain"
        )
    known, asked, labels = _features(context)
    shares = within_shares(known, labels)
    chosen = [name for name, share in shares.items() if share <= CONSTANT]

    def explained(names: Sequence[str]) -> Explained:
        columns, questions = (np.stack([of[name] for name in names], axis=1) for of in (known, asked))
        return explain((columns, labels), (questions, truth), answers, context.confidence, rng)

    if not chosen:
        found, steadiest = explained(list(known)), min(shares, key=lambda name: shares[name])
        return context.judge(
            0.0,
            (0.0, 0.0),
            n=len(truth),
            summary=f"No hand-made feature is nearly constant within the classes ('{steadiest}' varies least, with "
            f"{shares[steadiest]:.0%} of its variance there), so none stands for a class. A small tree on all of them "
            f"reaches {found.ratio:.0%} of what the model reaches above chance.",
            evidence=_shown(found, known, labels, target.classes),
        )
    found = explained(chosen)
    first = chosen[int(found.tree.feature_importances_.argmax())]
    return context.judge(
        found.ratio,
        found.interval,
        n=len(truth),
        summary=f"A tree of {found.tree.get_n_leaves()} leaves, mostly on '{first}', which hardly varies within the "
        f"classes, reaches {found.ratio:.0%} of what the model reaches above chance; a larger tree "
        f"{found.larger / found.model:.0%}.",
        evidence=_shown(found, {name: known[name] for name in chosen}, labels, target.classes),
    )


def _features(context: CheckContext) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Features of the training and of the validation sample by name, and the training labels."""
    target, n = context.target, context.profile.images or _TREE_IMAGES
    sample, rows = target.sample("train", n, context.seed), target.draw("train", n, context.seed)
    labels = labels_of(sample, "train")
    known = hand_made(sample[0], target.split("train").properties(rows))
    positions = context.indices("validation")
    asked = hand_made(context.sample("validation")[0], target.split("validation").properties(positions))
    return {name: column for name, column in known.items() if name in asked}, asked, labels


def _shown(
    found: Explained, features: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str]
) -> list[Evidence]:
    """The features the tree asks about with their median in each class, and what tree and model achieve."""
    present = [int(k) for k in np.unique(labels)][:_SHOWN_COLUMNS]
    ranked = sorted(zip(found.tree.feature_importances_, features.items()), key=lambda row: -row[0])
    rows = [
        [name, float(f"{weight:.2f}"), *(float(f"{np.median(column[labels == k]):.3g}") for k in present)]
        for weight, (name, column) in ranked
        if weight > 0
    ]
    columns = ["feature", "importance", *(f"median, {classes[k]}" for k in present)]
    shown = {
        f"tree, {found.tree.get_n_leaves()} leaves": found.score,
        "larger tree": found.larger,
        "the model": found.model,
    }
    return [
        evidence.table("What the small tree looks at", columns, rows),
        evidence.bars("Balanced accuracy above chance", shown, label="0: chance, 1: perfect"),
    ]


def tinted_digits(seed: int, by_class: bool) -> AuditTarget:
    """Color images of digits whose cast goes with the class, or with nothing."""
    splits: Splits = {}
    casts = generator("planted", seed, "casts").uniform(0, 0.5, (10, 3, 1, 1)).astype(np.float32)
    for split, (images, labels) in digit_splits(seed).items():
        rng = generator("planted", seed, "tint", split)
        hue = labels if by_class else rng.integers(0, 10, len(labels))
        noise = rng.normal(0, 0.003, (len(labels), 3, 1, 1)).astype(np.float32)
        splits[split] = (np.clip(0.5 * images.repeat(3, axis=1) + casts[hue] + noise, 0, 1), labels)
    return fitted_target("tinted digits", splits, DIGITS)


PLANTS = [
    Plant(
        "a color cast that goes with the class",
        partial(tinted_digits, by_class=True),
        partial(tinted_digits, by_class=False),
    ),
    Plant("figures of one size (dataset 4.0)", turned_figures, scaled_figures),
]
POPULATIONS = clean_populations()
