"""What share of the labels is wrong?

A probe that has not seen an image's label says what the image looks like. Where it is surest and the label still says
otherwise, the label is suspect: the audit estimates how many labels are wrong, and lists the images to look at first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.dataset._clean_targets import DIGITS, clean_populations, digit_splits, fitted_target
from cnnaudit.checks.dataset._contradictions import LEAST_SKILL, Contradictions, contradictions, held_out_probabilities
from cnnaudit.checks.dataset._features import affordable, kernel, looks
from cnnaudit.checks.dataset._small_images import image_name, small_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator
from cnnaudit.target import LABELED

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

FEWEST = 5  # images of a class in each split
FOLDS = 5  # where there is one split only
_SHOWN_IMAGES, _SHOWN_CLASSES = 12, 20
_EXCHANGED = 0.5

Relabel = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class Asked:
    """The images whose labels are judged.

    Attributes:
        split: the name of each image's split, (n,).
        position: its position there, (n,).
        small: classes that have images, but fewer than 5 in a split.
        by: what the probe sees, in words.
        found: what the probe says.
    """

    split: np.ndarray
    position: np.ndarray
    small: tuple[int, ...]
    by: str
    found: Contradictions


@check(
    question="What share of the labels is wrong?",
    statistic="estimated share of wrong labels, of all images or of those that look like the worst class",
    unit="share of images",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy="Look through the listed images, the most suspect first, and correct or remove those whose label is wrong, "
    "first of all in validation: there they falsify every number. Then train and audit again.",
    reference="Northcutt, Jiang and Chuang (2021), Confident learning; Northcutt, Athalye and Mueller (2021), "
    "Pervasive label errors in test sets",
)
def label_errors(context: CheckContext) -> Finding:
    """Share of labels that a held-out probe contradicts where it is surest, less what is the probe's own fault.

    The probe is kernel ridge regression on what the model's last linear layer reads and on random filters (those alone
    where the model is a black box). Each split is asked by a probe of the other, so that a class named wrongly in one
    of them is noticed; a single split is asked in 5 folds. By the class that an image looks like, the surest quarter is
    counted and turned into a share of wrong labels: `wrong_share`, with exact binomial bounds. The statistic is that of
    all images; or that of the images that look like one class, where its low bound, corrected for looking at all
    classes, is beyond the tolerance. A weak probe gives a wide interval, not an accusation.

    At quick 1,000 images of each split are read, 250 where they are larger than 128 x 128. Labels that are wrong in the
    same way everywhere, in both splits, cannot be told from right ones.

    Tolerance: of 40 clean targets the largest low bound is .005; with 20 % of the labels replaced it is .068 and more
    on digits. Small networks on CIFAR-10 are inconclusive with 10 % wrong, and half of them with 20 %.
    """
    asked = _ask(context)
    found, classes = asked.found, context.target.classes
    present = np.unique(found.looks)
    each = context.among(len(present))
    shares = {int(k): found.share(found.looks == k, each.confidence) for k in present}
    whole = found.share(np.ones(len(found.labels), bool), context.confidence)
    worst = max(shares, key=lambda k: (shares[k][1], shares[k][0]))
    alarm = shares[worst][1] > max(context.tolerance, whole[1])
    value, low, high = shares[worst] if alarm else whole
    pairs = exchanged(found, asked.split, context.confidence)
    return context.judge(
        value,
        (low, 1.0 if asked.small else high),
        n=len(found.labels),
        summary=_summary(classes, asked, whole, shares, worst, alarm),
        hint=_hint(classes, pairs),
        locations=[
            Location(share, class_name=classes[k])
            for k, (share, _, _) in sorted(shares.items(), key=lambda item: -item[1][0])[:10]
            if share > 0
        ],
        evidence=_shown(context, asked, shares),
    )


def _ask(context: CheckContext) -> Asked:
    """The probe's answers for a sample of both splits."""
    target, most = context.target, affordable(context)
    rows = {split: target.draw(split, most, context.seed) for split in LABELED if split in target.splits}
    labels = {split: np.asarray(target.split(split).labels)[drawn] for split, drawn in rows.items()}
    counts = np.array([np.bincount(of, minlength=len(target.classes)) for of in labels.values()])
    kept = np.flatnonzero((counts >= FEWEST).all(axis=0))
    if len(kept) < 2:
        raise UnsupportedError(
            f"judging labels needs two classes with at least {FEWEST} images in each of {', '.join(labels)}; "
            f"{len(kept)} of {len(target.classes)} classes have them among {most:,} images of a split"
        )
    rows = {split: drawn[np.isin(labels[split], kept)] for split, drawn in rows.items()}
    read = [looks(target, target.split(split).read(drawn)) for split, drawn in rows.items()]
    features = [np.concatenate(kinds) for kinds in zip(*read)]
    given = np.searchsorted(kept, np.concatenate([np.asarray(target.split(s).labels)[r] for s, r in rows.items()]))
    split = np.repeat(list(rows), [len(drawn) for drawn in rows.values()])
    folds = split if len(rows) > 1 else _folds(given, context.generator("folds"))
    answers = held_out_probabilities(kernel(features, split), given, folds, len(kept))
    judged = contradictions(answers, given, split)
    found = Contradictions(kept[judged.labels], kept[judged.looks], judged.doubt, judged.surest)
    by = "the model's features and random filters" if len(features) > 1 else "random filters"
    small = tuple(int(k) for k in np.flatnonzero(counts.any(axis=0)) if k not in kept)
    return Asked(split, np.concatenate(list(rows.values())), small, by, found)


def _folds(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Folds of about equal mixture, (n,)."""
    order = rng.permutation(len(labels))
    folds = np.empty(len(labels), int)
    folds[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % FOLDS
    return folds


def exchanged(found: Contradictions, split: np.ndarray, confidence: float = 0.95) -> list[tuple[int, int]]:
    """Pairs of classes whose labels are exchanged: in a split, most of the surest images of each carry the other's.

    'Most' is the exact binomial low bound above one half, for both classes.
    """
    from cnnaudit.core.statistics import proportion_interval

    def carry(rows: np.ndarray, looks: int, label: int) -> bool:
        labels = found.labels[rows & (found.looks == looks)]
        return len(labels) > 0 and (
            proportion_interval(int((labels == label).sum()), len(labels), confidence)[0] > _EXCHANGED
        )

    pairs = set()
    for part in np.unique(split):
        rows = found.surest & (split == part)
        suspects = np.unique(np.stack([found.looks, found.labels], axis=1)[rows & found.contradicted], axis=0)
        pairs |= {(int(a), int(b)) for a, b in suspects if a < b and carry(rows, a, b) and carry(rows, b, a)}
    return sorted(pairs)


def _summary(
    classes: tuple[str, ...],
    asked: Asked,
    whole: tuple[float, float, float],
    shares: dict[int, tuple[float, float, float]],
    worst: int,
    alarm: bool,
) -> str:
    """What was found, in a sentence or three."""
    found = asked.found
    text = (
        f"About {whole[0]:.1%} of {len(found.labels):,} labels look wrong ({whole[1]:.1%} to {whole[2]:.1%}), "
        f"judged by {asked.by}."
    )
    if alarm:
        wrong = found.labels[found.contradicted & (found.looks == worst)]
        label = int(np.bincount(wrong).argmax())
        text += (
            f" Of the images that look like '{classes[worst]}' about {shares[worst][0]:.0%} carry another label, most "
            f"often '{classes[label]}'."
        )
    if found.skill() < LEAST_SKILL:
        text += " The probe knows too little of these classes to tell wrong labels from its own mistakes."
    if asked.small:
        names = ", ".join(f"'{classes[k]}'" for k in asked.small[:5])
        text += f" Not judged: {len(asked.small)} classes with fewer than {FEWEST} images in a split ({names})."
    return text


def _hint(classes: tuple[str, ...], pairs: list[tuple[int, int]]) -> str:
    """The classes that are named for each other."""
    named = " and ".join(f"'{classes[a]}' with '{classes[b]}'" for a, b in pairs[:5])
    return f"Labels are exchanged in one of the splits: {named}. Rename those folders or columns." if pairs else ""


def _shown(context: CheckContext, asked: Asked, shares: dict[int, tuple[float, float, float]]) -> list[Evidence]:
    """The gallery and the table of suspect images, and the share of each class."""
    target, found, ranked = context.target, asked.found, asked.found.ranked()
    classes = target.classes
    order = sorted(shares, key=lambda k: -shares[k][0])[:_SHOWN_CLASSES]
    shown = [
        evidence.bars(
            "Share of wrong labels, by the class that the images look like",
            {classes[k]: shares[k][0] for k in order},
            label="estimated share of images with another label",
            tolerance=context.tolerance,
        )
    ]
    if not len(ranked):
        return shown
    first = ranked[:_SHOWN_IMAGES]
    pictures = [small_images(target, str(asked.split[row]), asked.position[[row]]) for row in first]
    names = {row: image_name(target, str(asked.split[row]), int(asked.position[row])) for row in ranked}
    table = [
        [str(asked.split[row]), names[row], classes[found.looks[row]], round(float(found.doubt[row]), 3)]
        for row in ranked
    ]
    return [
        evidence.images(
            "The most suspect labels",
            np.concatenate(pictures),
            [f"{names[row]}: looks like '{classes[found.looks[row]]}'" for row in first],
        ),
        *shown,
        evidence.table(
            "Images that look like another class, the most suspect first",
            ["split", "image (its label)", "looks like", "doubt"],
            table,
            file="suspects.csv",
        ),
    ]


def uniform(labels: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """That share of the labels replaced by another one of ten."""
    wrong = rng.random(len(labels)) < share
    return np.where(wrong, (labels + rng.integers(1, 10, len(labels))) % 10, labels)


def one_class(labels: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """That share of the class 3 labeled as 2."""
    return np.where((labels == 3) & (rng.random(len(labels)) < share), 2, labels)


def exchange(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """2 and 3 named for each other."""
    return np.where(labels == 3, 2, np.where(labels == 2, 3, labels))


def relabeled_digits(
    seed: int, relabel: Relabel | None, splits: tuple[str, ...] = LABELED, classes: int = 10
) -> AuditTarget:
    """Digits, some with another label, and a model fitted to what the training labels say."""
    parts = {}
    for split, (images, labels) in digit_splits(seed).items():
        rows = np.flatnonzero(labels < classes)[:600]
        given = labels[rows]
        if relabel and split in splits:
            given = relabel(given, generator("planted", seed, "relabel", split))
        parts[split] = (images[rows], given)
    return fitted_target("relabeled digits", parts, DIGITS[:classes])


_TEN, _FIVE = (partial(relabeled_digits, relabel=None, classes=classes) for classes in (10, 5))
PLANTS = [
    Plant("20 % of the labels replaced", partial(relabeled_digits, relabel=partial(uniform, share=0.2)), _TEN),
    Plant(
        "40 % of one class of five labeled as another",
        partial(relabeled_digits, relabel=partial(one_class, share=0.4), classes=5),
        _FIVE,
    ),
    Plant(
        "two classes exchanged in validation",
        partial(relabeled_digits, relabel=exchange, splits=("validation",)),
        _TEN,
    ),
]
POPULATIONS = clean_populations()
