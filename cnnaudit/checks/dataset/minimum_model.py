"""How few parameters do what this model does on these data?

Where one number per image suffices, accuracy says little of what a large model learned. The smallest networks are
trained in the order of their parameters until one nearly does what the model does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.minimum_model._figures_targets import PLAIN, SCALING, STRICT, Splits, figure_splits, fitted_target
from cnnaudit.checks.minimum_model._inputs import THESIS, network_seeds, parameter_count, small_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.checks.minimum_model._frontier import Needed, Tried
    from cnnaudit.target import AuditTarget


@check(
    question="How few parameters do what this model does on these data?",
    statistic="parameters that reach 95 % of the model's accuracy above chance, over those of the simplest network",
    unit="ratio",
    direction="at_least",
    tolerance=1.4,
    gate=False,
    remedy="Find out which single number of an image gives the class away (brightness, size, an edge, a mark: "
    "dataset.trivial_feature and `cnnaudit search` help) and vary it within each class, or report the "
    "minimum model beside your own: on these data, accuracy says little about what was learned.",
    reference=THESIS,
    needs=("train", "validation"),
)
def minimum_model(context: CheckContext) -> Finding:
    """Parameters of the smallest network that nearly does what the model does, over those of the simplest network.

    Ten networks of one filter (2x2 or 3x3; maximum or average pooling; 1, 4 or 16 features; a linear layer) are
    trained in the order of their parameters on the training sample, larger images resized to 32 pixels, 8 seeds of 600
    steps each. An architecture reaches when its best seed by training accuracy has at least chance + .95 (a - chance)
    of the validation sample right, a being the model's accuracy there and chance the most frequent class's share. The
    statistic is its number of parameters over that of one 3x3 filter with one feature (9 C + 1 + 2 K for C channels and
    K classes; 16 for three classes of gray images); where none reaches, that of the largest tried. The interval is a
    bootstrap over validation images (paired with the model's answers) and over seeds.

    Tolerance: networks of one feature have a ratio of at most 1, those of four features and a 3x3 filter of 1.43 or
    more (gray images, two classes), so below 1.4 about one number per image suffices. Clean data lie above it: their
    1 % point is in `baselines/null/`. Two classes that one number does tell apart, such as the digits 0 and 1, fail
    rightly.
    """
    target = context.target
    from cnnaudit.checks.minimum_model import _frontier as frontier

    train, validation = (small_images(context.sample(split)) for split in ("train", "validation"))
    truth, classes = validation[1], len(target.classes)
    right = (context.predictions("validation").argmax(1).numpy() == truth).astype(float)
    chance = float(np.bincount(truth).max() / len(truth))
    if right.mean() - chance < 3 * (chance * (1 - chance) / len(truth)) ** 0.5 or len(np.unique(train[1])) < 2:
        raise UnsupportedError(
            f"the model has {right.mean():.3f} of {len(truth)} validation images right, the most frequent class alone "
            f"{chance:.3f}: there is nothing to reach with fewer parameters"
        )
    size, channels = train[0].shape[2], train[0].shape[1]
    required = chance + frontier.REACHED * (float(right.mean()) - chance)
    networks = frontier.small_networks(size, channels, classes)
    tried = frontier.try_out(networks, train, validation, required, network_seeds(context, frontier.SEEDS))
    found = frontier.needed(tried, right, chance, context.generator(), context.resamples, context.confidence)
    unit = frontier.simplest(size, channels, classes).parameters
    low, high = found.interval
    return context.judge(
        found.parameters / unit,
        (low / unit, high / unit),
        n=len(truth),
        summary=_summary(found, tried, float(right.mean()), parameter_count(target), (len(train[1]), len(truth))),
        evidence=_evidence(tried, found, float(right.mean())),
    )


def _summary(found: Needed, tried: Sequence[Tried], accuracy: float, parameters: int, images: tuple[int, int]) -> str:
    of = f"the model's {parameters:,} parameters" if parameters else "the model"
    basis = f"on {images[1]} validation images ({images[0]} training images; best of 8 seeds by training accuracy)"
    if found.smallest is None:
        best = max(tried, key=lambda one: float(one.train_accuracy.max()))
        return (
            f"No network of up to {found.parameters} parameters does what {of} do: the best reaches "
            f"{best.validation_accuracy[best.chosen]:.3f}, the model {accuracy:.3f} {basis}."
        )
    network = found.smallest
    return (
        f"{found.parameters} parameters ({network.architecture}) reach "
        f"{network.validation_accuracy[network.chosen]:.3f} where {of} reach {accuracy:.3f} {basis}."
    )


def _evidence(tried: Sequence[Tried], found: Needed, accuracy: float) -> list[evidence.Evidence]:
    rows = [
        [
            one.architecture.parameters,
            str(one.architecture),
            round(float(one.train_accuracy.max()), 4),
            round(float(one.validation_accuracy[one.chosen]), 4),
            f"{int((one.validation_accuracy >= found.required).sum())} of {len(one.validation_accuracy)}",
            round(float(np.median(one.validation_accuracy)), 4),
        ]
        for one in tried
    ]
    names = ("parameters", "network", "training", "validation", "seeds that reach it", "median seed")
    title = f"The networks tried; asked for {found.required:.3f} (the model has {accuracy:.3f})"
    return [evidence.table(title, names, rows)]


def _digits(seed: int, fewest: int, most: int = 10) -> tuple[Splits, int]:
    """A random subset of the digits' classes."""
    from cnnaudit.data import digits

    rng = generator("planted", seed, "classes")
    kept = np.sort(rng.permutation(10)[: rng.integers(fewest, most + 1)])
    parts = {split: digits(split, seed) for split in ("train", "validation")}
    return {split: _only(kept, part.images, part.labels) for split, part in parts.items()}, len(kept)


def _only(kept: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.isin(labels, kept)
    return images[chosen], np.searchsorted(kept, labels[chosen])


def figures(seed: int, **arguments: Any) -> AuditTarget:
    """Circles, squares and triangles, with a network fitted in closed form."""
    return fitted_target("figures", figure_splits(seed, **arguments), 3)


def lit_digits(seed: int, by_class: bool) -> AuditTarget:
    """Three digits under three lights that go with the class, or with nothing."""
    splits, _ = _digits(seed, 3, 3)
    lit: Splits = {}
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "light", split)
        level = labels if by_class else rng.integers(0, 3, len(labels))
        light = 0.25 * level + rng.normal(0, 0.01, len(labels))
        lit[split] = (np.clip(0.5 * images + light[:, None, None, None], 0, 1).astype(np.float32), labels)
    return fitted_target("lit digits", lit, 3)


def some_digits(seed: int) -> AuditTarget:
    """Five to ten of the digits."""
    return fitted_target("some digits", *_digits(seed, 5))


def some_photographs(seed: int, name: str) -> AuditTarget:
    """Five to ten classes of a data set of `real`."""
    rng = generator("planted", seed, name)
    images, labels, _ = real.sample(name, 1_600, rng)
    kept = np.sort(rng.permutation(10)[: rng.integers(5, 11)])
    splits = {"train": _only(kept, images[:1_000], labels[:1_000])}
    splits["validation"] = _only(kept, images[1_000:], labels[1_000:])
    return fitted_target(name, splits, len(kept))


PLANTS = [
    Plant(
        "figures of changing size without noise (dataset 1.3)",
        partial(figures, **SCALING, **PLAIN),
        partial(figures, **STRICT),
    ),
    Plant("a light for each class", partial(lit_digits, by_class=True), partial(lit_digits, by_class=False)),
]


POPULATIONS = [
    Population("digits, five to ten classes", some_digits),
    *(Population(f"{name}, five to ten classes", partial(some_photographs, name=name), 10) for name in real.names()),
]
