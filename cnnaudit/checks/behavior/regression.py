"""Which images did the previous model get right that this one gets wrong?

A better accuracy hides what a new version breaks. Users notice the image that was right yesterday.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.behavior._claims import bound_by, is_claimed
from cnnaudit.checks.behavior._groups import parts
from cnnaudit.checks.behavior._sample import LISTED, image_names, sampled_images
from cnnaudit.checks.small_targets import on_validation, sampled, trained_lenet
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics.paired import mcnemar_p_value, paired_drop_interval

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

_SOURCES = ("digits", *(name for name in ("mnist", "cifar10") if name in real.names()))


@dataclass(frozen=True, slots=True)
class Change:
    """Images of a class or group whose prediction became wrong (`lost`) or right (`gained`).

    Attributes:
        p_value: exact, of 'not more is lost than gained' (McNemar).
    """

    name: str
    images: int
    lost: int
    gained: int

    @property
    def p_value(self) -> float:
        return mcnemar_p_value(self.lost, self.gained)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Interval of the accuracy that is lost, (lost - gained) / images."""
        return paired_drop_interval(self.lost, self.gained, self.images, confidence)


def changes(
    labels: np.ndarray,
    before: np.ndarray,
    now: np.ndarray,
    classes: Sequence[str],
    columns: Mapping[str, np.ndarray] | None = None,
) -> list[Change]:
    """What changed in each class and in each value of each metadata column, most negative flips for its size first.

    Args:
        labels, before, now: true classes and predictions of both models, (n,).
        columns: metadata, each (n,).

    Example:
        >>> found = changes(np.array([0, 0, 1]), np.array([0, 0, 0]), np.array([1, 0, 1]), ("cat", "dog"))
        >>> [(c.name, c.lost, c.gained) for c in found]
        [('class cat', 1, 0), ('class dog', 0, 1)]
    """
    lost, gained = (before == labels) & (now != labels), (before != labels) & (now == labels)
    groups = [(f"class {classes[k]}", labels == k) for k in np.unique(labels)]
    for column, values in (columns or {}).items():
        groups += [(f"{column} = {value}", members) for value, members in parts(values)]
    rows = [Change(name, int(m.sum()), int(lost[m].sum()), int(gained[m].sum())) for name, m in groups]
    return sorted(rows, key=lambda row: (-row.lost / row.images, row.name))


@check(
    question="Which images did the previous model get right that this one gets wrong?",
    statistic="share of images that only the previous model gets right (negative flips)",
    unit="share of images",
    direction="at_most",
    tolerance=0.02,
    gate=partial(is_claimed, claim="negative_flips"),
    remedy="Look at the images and the classes that lost; fine-tune on them too, start from the previous weights, or "
    "train with the previous model's answers (distillation, ensembles of both).",
    reference="Yan et al., Positive-congruent training: towards regression-free model updates, 2021; "
    "McNemar, Note on the sampling error of the difference between correlated proportions, 1947",
    needs=("validation", "previous"),
)
def regression(context: CheckContext) -> Finding:
    """Share of the validation images that the model of `[model.previous]` gets right and this one wrong.

    Both answer the same images. The interval of the share is exact. For each class, and each value of each metadata
    column, an exact paired test (McNemar) asks whether more was lost than gained; the ones named have p below the
    error divided by their number (Bonferroni). With `claims.negative_flips` the claim is the tolerance.

    Tolerance without a claim: 40 ordinary networks that learned on for an epoch at a low rate flip at most .012
    (digits, MNIST, Fashion-MNIST and CIFAR-10); an update that forgets one of ten classes flips .036 to .12. A
    training anew is no such update: two LeNets that differ in their seed alone flip up to .006 (digits), .028 (MNIST)
    and .18 (CIFAR-10, 1,000 training images), which this trait reports.
    """
    from cnnaudit.checks.behavior.regression_figures import figures

    context = bound_by(context, "negative_flips")
    images, truth = sampled_images(context, least=1)
    labels, now = truth.numpy(), context.predictions("validation").argmax(1).numpy()
    older = context.target.previous
    assert older is not None  # `needs` says so
    before = older.logits(images).argmax(1).numpy()
    chosen = context.indices("validation")
    metadata = context.target.split("validation").metadata
    columns = {name: np.asarray(column)[chosen] for name, column in metadata.items()}
    rows = changes(labels, before, now, context.target.classes, columns)
    flipped = np.flatnonzero((before == labels) & (now != labels))
    gained, n = int(((before != labels) & (now == labels)).sum()), len(labels)
    names = image_names(context, flipped)
    return context.judge_share(
        len(flipped),
        n,
        summary=f"{len(flipped)} of {n} images are wrong now that '{older.name}' got right, and {gained} are right "
        f"that it got wrong: accuracy {np.mean(before == labels):.3f} became {np.mean(now == labels):.3f}."
        + _worse(rows, context.confidence),
        locations=[
            Location(1.0, class_name=context.target.classes[labels[row]], image=name)
            for row, name in zip(flipped[:LISTED], names)
        ],
        evidence=figures(context, images, (labels, now), rows, (flipped, names)),
    )


def _worse(rows: Sequence[Change], confidence: float) -> str:
    """The classes and groups that lost significantly more than they gained, at most three."""
    found = sorted((row for row in rows if row.p_value <= (1 - confidence) / len(rows)), key=lambda row: row.p_value)
    if not found:
        return " No class or group lost significantly more than it gained."
    named = "; ".join(f"{row.name}, {row.lost} of {row.images} lost and {row.gained} gained" for row in found[:3])
    return f" Significantly worse: {named}{'; ...' if len(found) > 3 else ''}."


@functools.lru_cache(maxsize=4)
def _trained_on(source: str, seed: int, epochs: int, rate: float, forget: bool) -> nn.Module:
    """The LeNet of `trained_lenet`, trained for more epochs: on the same images, or without one class."""
    from cnnaudit.training import fit

    images, labels, classes = sampled(source, "train", seed)
    kept = labels != 1 + seed % (len(classes) - 1) if forget else np.ones(len(labels), dtype=bool)
    model = copy.deepcopy(trained_lenet(source, seed))
    fit(model, (images[kept], labels[kept]), epochs=epochs, learning_rate=rate, seed=seed, initialize=False)
    return model


def updated(seed: int, source: str, epochs: int, rate: float, forget: bool) -> AuditTarget:
    """A LeNet that learned on, its former self as the previous model.

    Args:
        rate: the learning rate; the first training began at .005.
        forget: whether the images of one class are left out.
    """
    previous = on_validation(source, seed, trained_lenet(source, seed))
    return replace(on_validation(source, seed, _trained_on(source, seed, epochs, rate, forget)), previous=previous)


def refined(data: str, seed: int) -> AuditTarget:
    """An ordinary network that learned on for an epoch at a low rate, its former self as the previous model."""
    from cnnaudit.checks.populations import build
    from cnnaudit.training import fit

    previous = build(data, seed)
    model = copy.deepcopy(previous.model)
    fit(model, previous.sample("train"), epochs=1, learning_rate=_LOW, seed=seed, initialize=False)
    return replace(previous, model=model, previous=previous)


_LOW = 2e-5  # a hundredth to a 500th of the rate that the networks were trained at

PLANTS = [
    Plant(
        f"an update of {epochs} epochs forgets a class of {source}",
        partial(updated, source=source, epochs=epochs, rate=0.005, forget=True),
        partial(updated, source=source, epochs=1, rate=_LOW, forget=False),
    )
    for source in _SOURCES
    for epochs in (4, 8)
]
POPULATIONS = [
    Population(f"networks on {data} that learned on", partial(refined, data), seeds=15)
    for data in ("digits", *real.names())
]
