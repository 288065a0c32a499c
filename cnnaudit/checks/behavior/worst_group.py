"""Is the model worse for some group of images (a scanner, a site, a class on a background)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.behavior._shared import LISTED, _answers
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.behavior._plants import _REAL
from cnnaudit.checks.small_targets import fitted_readout, sampled


@check(
    question="Is the model worse for some group of images (a scanner, a site, a class on a background)?",
    statistic="accuracy that the worst group lacks to the other images, class by class",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.2, "standard": 0.1, "deep": 0.1},
    gate=True,
    remedy="Look at the group's images; collect more like them, or weight them in training (group DRO), and report "
    "accuracy by group.",
    reference="Sagawa et al., Distributionally robust neural networks for group shifts, 2020",
    needs=("validation", "metadata"),
)
def worst_group(context: CheckContext) -> Finding:
    """Largest gap, over groups, between the accuracy of the other images and the group's own, class by class.

    What is expected of a group is the accuracy outside it, with its own mix of classes: a site with more of a hard
    class is not blamed for it. Groups are the values of each metadata column (a numeric one in quarters), and each
    value within each class. The gap's interval joins the exact intervals of both accuracies (Newcombe 1998, square
    and add) and holds for all judged groups at once (Bonferroni); small groups are named, not judged. The tolerance is
    a policy: random sites of digits and MNIST have worst gaps up to .07, which 500 images tell from .2.
    """
    target = context.target
    from cnnaudit.checks.behavior._groups import groups, judged

    labels, predicted = _answers(context)
    metadata = target.split("validation").metadata
    if not metadata:
        raise UnsupportedError("the validation images have no metadata: data.metadata names none of them")
    columns = {name: np.asarray(column)[context.indices("validation")] for name, column in metadata.items()}
    every = groups(labels == predicted, labels, columns, target.classes)
    found, each = judged(every, context.tolerance, context.confidence)
    small = [group for group in every if group not in found]
    if not found:
        raise UnsupportedError(
            f"no group of the metadata ({', '.join(columns)}) is large enough to be judged; "
            f"the largest of {len(every)} has {max((g.images for g in every), default=0)} images"
        )
    worst = max(found, key=lambda group: group.gap)
    intervals = [group.interval(each) for group in found]
    shown = sorted(found, key=lambda group: -group.gap)[:LISTED]
    named = ", ".join(group.name for group in small[:3]) + (", ..." if len(small) > 3 else "")
    rows = [(g.name, g.images, round(g.accuracy, 3), round(g.expected, 3), True) for g in shown]
    rows += [(g.name, g.images, round(g.accuracy, 3), round(g.expected, 3), False) for g in small[:LISTED]]
    return context.judge(
        worst.gap,
        (max(low for low, _ in intervals), max(high for _, high in intervals)),
        n=len(labels),
        summary=f"The worst of {len(found)} groups, {worst.name}, has {worst.accuracy:.3f} accuracy; "
        f"{worst.expected:.3f} is expected from the other images"
        + (f" ({len(small)} groups are too small: {named})." if small else "."),
        evidence=[
            evidence.bars(
                "Accuracy below that of the other images",
                {g.name: g.gap for g in shown},
                label="gap",
                tolerance=context.tolerance,
            ),
            evidence.table("Groups", ("group", "images", "accuracy", "expected", "judged"), rows),
        ],
    )


def sites(seed: int, bad: bool, source: str = "digits", number: int = 3) -> AuditTarget:
    """Images from several sites at random; the last one, where it is bad, gives away others for most of its images."""
    images, labels, _ = sampled(source, "validation", seed)
    site = generator("planted", seed, "sites").integers(number, size=len(labels))
    return _from_sites(source, seed, images, labels, site, (site == number - 1) & bad)


def one_class_of_a_site(seed: int, bad: bool) -> AuditTarget:
    """Circles and squares from two sites; the second, where it is bad, gives away others for most of its squares."""
    images, labels, _ = sampled("dataset 1.3", "validation", seed)
    images, labels = images[labels < 2], labels[labels < 2]
    site = generator("planted", seed, "sites").integers(2, size=len(labels))
    return _from_sites("dataset 1.3", seed, images, labels, site, (site == 1) & (labels == 1) & bad)


def _from_sites(
    source: str, seed: int, images: np.ndarray, labels: np.ndarray, site: np.ndarray, bad: np.ndarray
) -> AuditTarget:
    """The model on images with their site, six in ten of the bad ones replaced by images of other classes."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "mixed up")
    wrong = bad & (rng.random(len(labels)) < 0.6)
    others = np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])
    given = np.where(wrong[:, None, None, None], images[others], images)
    columns = {"validation": {"site": np.array([f"site {chr(65 + s)}" for s in site])}}
    classes = sampled(source, "validation", seed)[2]
    return AuditTarget.from_arrays(
        source, fitted_readout(source, seed), {"validation": (given, labels)}, classes, columns
    )


PLANTS = [
    Plant("a bad site", partial(sites, bad=True), partial(sites, bad=False)),
    Plant("one class at one site", partial(one_class_of_a_site, bad=True), partial(one_class_of_a_site, bad=False)),
]


POPULATIONS = [
    *(
        Population(f"{number} random sites of {source}", partial(sites, bad=False, source=source, number=number))
        for source in ("digits", *_REAL)
        for number in (2, 3)
    ),
]
