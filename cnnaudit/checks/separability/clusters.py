"""Do the network's features fall into its classes by themselves, without being told the classes?

A classifier's last features should group images by class. They are clustered without the labels, and the clusters
compared with the classes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.separability.clusters_figures import shown_clusters
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import bootstrap_interval, derive_seed, generator, permutation_p_value

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.embedding.clusters import Clustering
    from cnnaudit.target import AuditTarget

PERMUTATIONS = 1_000
LARGE = 128 * 128  # pixels of an image


@check(
    question="Do the network's features form clusters that agree with its classes?",
    statistic="agreement of k-means clusters with the classes, beyond chance",
    unit="adjusted Rand index",
    direction="at_least",
    tolerance=0.05,
    gate=False,
    remedy="Look at what the clusters share instead of the class (their mean images are below); features that know "
    "nothing of the class are those of a network that has not learned it, or that reads something else.",
    reference="España, Sensitivity analysis of the CNN learning process using synthetic images, 2021; "
    "Hubert and Arabie, Comparing partitions, 1985",
    needs=("validation", "inside"),
)
def clusters(context: CheckContext) -> Finding:
    """k-means on the features, and whether its clusters agree with the classes more than chance would have it.

    Features are the input of the first linear layer where that is at most 64 numbers, else of the last linear layer
    (standardized and projected to 50 principal components where they are more than 64). Two clusterings are compared
    with the classes by the adjusted Rand index (0 at chance, 1 for the same groups), and the better one is the
    statistic: K clusters with the K classes; and, where uniform white and uniform black backgrounds both occur
    (photographs have none), 2K clusters with the classes *within each background*, averaged over the backgrounds, so
    that clusters which only know the background count for nothing. The interval is a bootstrap over images of that
    maximum, with the clusters held fixed; p is the share of permutations of the classes (within each background) with
    as large a maximum.

    The features take a forward pass of their own, so of images larger than 128 x 128 every second one is looked at.
    The number of clusters that the features themselves suggest is shown by five elbow rules, which often disagree.

    Tolerance: the 1 % point of clean networks is .08 (set by LeNets of accuracy .4 on CIFAR-10; those that classify
    well measure .5 to .9), less what the interval of 500 images needs (.03), rounded outward to .05. Features that know
    nothing stay within .02 of 0. See `baselines/null/separability.clusters.json`.
    """
    target = context.target
    images, rows = _affordable(*context.sample("validation"))
    groups = _groups(target, context, images, rows)
    features = _features(target, images)
    seed = int(context.generator("k-means").integers(2**31))
    found = _clusterings(features, groups, seed)
    table = np.stack([groups.white, groups.labels, *(one.labels for one in found)], axis=1)
    by_class, within = _agreements(table)
    statistic = max(by_class, within)
    interval = bootstrap_interval(
        table,
        lambda drawn: max(_agreements(drawn)),
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.profile.resamples,
        bounds=(-1.0, 1.0),
    )
    null = _null(table, context.generator("permutations"))
    return context.judge(
        statistic,
        interval,
        n=len(table),
        summary=_summary(groups, found, by_class, within),
        p_value=permutation_p_value(statistic, null),
        evidence=shown_clusters(features, groups, found, (by_class, within), null, images, target.classes, seed),
    )


@dataclass(frozen=True, eq=False)
class Groups:
    """The images' classes (n,), and whether their background is white (n,): 0 for all unless there are two of them."""

    labels: np.ndarray
    white: np.ndarray

    @property
    def both(self) -> bool:
        """Whether both backgrounds occur."""
        return bool(self.white.any())


def _affordable(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """The images to look at, and their places in the sample: all, or every second one of each class of large images."""
    rows = np.arange(len(labels))
    if images.shape[2] * images.shape[3] <= LARGE:
        return images, rows
    rows = np.sort(np.argsort(labels.numpy(), kind="stable")[::2])
    return images[rows], rows


def _groups(target: AuditTarget, context: CheckContext, images: torch.Tensor, rows: np.ndarray) -> Groups:
    """Classes and backgrounds of those images of the sample."""
    from cnnaudit.data.background import uniform_backgrounds
    from cnnaudit.reading.polarity import COLUMN, two_backgrounds, white_background

    split, drawn = target.split("validation"), context.indices("validation")[rows]
    labels = np.asarray(split.labels)[drawn]
    metadata = {name: column[drawn] for name, column in split.metadata.items()}
    white = white_background(images, metadata)
    found, counts = np.unique(labels, return_counts=True)
    if len(found) < 2:
        raise UnsupportedError(f"all {len(labels)} images are of one class, so there is nothing to agree with")
    if counts.max() < 2:
        raise UnsupportedError(f"{len(labels)} images of {len(found)} classes: no class has two images to be together")
    told_apart = two_backgrounds(white) and (COLUMN in metadata or uniform_backgrounds(images))
    return Groups(labels, white.astype(np.int64) if told_apart else np.zeros(len(labels), np.int64))


def _features(target: AuditTarget, images: torch.Tensor) -> np.ndarray:
    """The features that the classifier reads, as k-means compares them."""
    from cnnaudit.core.memory import CPU_BATCH_PIXELS
    from cnnaudit.embedding.clusters import comparable
    from cnnaudit.interventions import calls
    from cnnaudit.reading.features import few_features, last_features, read_features

    observed = calls(target.model, images[:1].to(target.device))
    try:
        place = few_features(observed)
    except UnsupportedError:
        place = last_features(observed, len(target.classes))
    size = target.batch_size
    if target.device == "cpu":
        size = max(1, min(size, CPU_BATCH_PIXELS // (images.shape[2] * images.shape[3])))
    return comparable(read_features(target.model, images, place, batch_size=size, device=target.device))


def _clusterings(features: np.ndarray, groups: Groups, seed: int) -> list[Clustering]:
    """As many clusters as classes; then, with two backgrounds, twice as many."""
    from cnnaudit.embedding.clusters import cluster

    k = len(np.unique(groups.labels))
    return [cluster(features, number, seed) for number in ((k, 2 * k) if groups.both else (k,))]


def _agreements(rows: np.ndarray) -> tuple[float, float]:
    """The agreement of class and clusters, and that within each background; rows as the check stacks them."""
    from cnnaudit.embedding.agreement import adjusted_rand, adjusted_rand_within

    white, labels, by_class = rows[:, 0], rows[:, 1], rows[:, 2]
    whole = adjusted_rand(labels, by_class)
    return whole, adjusted_rand_within(white, labels, rows[:, 3]) if rows.shape[1] > 3 else whole


def _null(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The larger agreement when the classes are permuted within each background: (1000,)."""
    values = np.empty(PERMUTATIONS)
    shuffled = rows.copy()
    parts = [np.flatnonzero(rows[:, 0] == white) for white in np.unique(rows[:, 0])]
    for draw in range(PERMUTATIONS):
        for part in parts:
            shuffled[part, 1] = rows[rng.permutation(part), 1]
        values[draw] = max(_agreements(shuffled))
    return values


def _summary(groups: Groups, found: Sequence[Clustering], by_class: float, within: float) -> str:
    """What was found, in one sentence."""
    k = len(np.unique(groups.labels))
    told = f"{k} clusters of the features agree with the {k} classes by {by_class:.2f} (0 is chance, 1 the same groups)"
    if not groups.both:
        return f"{told}."
    return f"{told}; {2 * k} clusters agree with the classes within each background, white or black, by {within:.2f}."


_TRAIN, _VALIDATION = 900, 600
_MINIMUM = {"3.0": (14, 12), "4.0": (7, 16)}  # pooling window, hidden neurons
_LEARNED = 0.8  # training accuracy of a model that has learned its dataset; some initializations die


def features(
    seed: int, dataset: Literal["3.0", "4.0"], knows: Literal["class", "nothing", "background"]
) -> AuditTarget:
    """The minimum model of a dataset and its validation images, of which the first linear layer reads features.

    Where it should know nothing, the images of the sample are shuffled against their labels; where it should know the
    background alone, within each background.
    """
    from cnnaudit.data import reference

    images = reference(dataset, "validation", derive_seed("planted", seed), n_per_class=_VALIDATION // 3)
    model = _trained(seed, dataset)
    rng = generator("planted", seed, "shuffle")
    rows = np.arange(len(images.labels))
    for part in {"class": [], "nothing": [rows], "background": [rows[images.polarity], rows[~images.polarity]]}[knows]:
        rows[part] = part[rng.permutation(len(part))]
    return _target(f"minimum model of {dataset}", model, images.images[rows], images.labels, images.classes)


@functools.lru_cache(maxsize=40)
def _trained(seed: int, dataset: str) -> nn.Module:
    """The minimum model, trained for a few epochs from the first of some seeds that learns."""
    from cnnaudit.data import reference
    from cnnaudit.models import minimum
    from cnnaudit.training import fit

    train = reference(dataset, "train", derive_seed("planted", seed), n_per_class=_TRAIN // 3)
    pool, hidden = _MINIMUM[dataset]
    for attempt in range(20):
        model = minimum(pool=pool, hidden=hidden)
        history = fit(model, (train.images, train.labels), epochs=15, seed=1_000 * seed + attempt)
        if history[-1]["accuracy"] > _LEARNED:
            break
    return model


def _target(
    name: str, model: nn.Module, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    return AuditTarget.from_arrays(f"planted: {name}", model, {"validation": (images, labels)}, classes)


PLANTS = [
    *(
        Plant(
            f"features of dataset {dataset} shuffled among the images",
            partial(features, dataset=dataset, knows="nothing"),
            partial(features, dataset=dataset, knows="class"),
        )
        for dataset in ("3.0", "4.0")
    ),
    Plant(
        "features of dataset 4.0 shuffled among images of the same background",
        partial(features, dataset="4.0", knows="background"),
        partial(features, dataset="4.0", knows="class"),
    ),
]


POPULATIONS = ordinary(seeds=300)
