"""Is the model worse for some group of images (a scanner, a site, a class on a background)?

A mean accuracy hides a site where the model fails. Every group that the metadata name is tested, small ones too: the
check passes only where each of them is shown to be inside the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.behavior._groups import Bounded, bounded, groups
from cnnaudit.checks.behavior._sample import LISTED, labels_and_predictions
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.checks.small_targets import fitted_readout, sampled
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

NAMED = 3  # undecided groups in the sentence


@check(
    question="Is the model worse for some group of images (a scanner, a site, a class on a background)?",
    statistic="accuracy that the worst group lacks to the other images, class by class",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.2, "standard": 0.1, "deep": 0.1},
    gate=True,
    remedy="Look at the group's images; collect more like them, or weight them in training (group DRO), and report "
    "accuracy by group.",
    reference="Sagawa et al., Distributionally robust neural networks for group shifts, 2020; "
    "Berger, Multiparameter hypothesis testing and acceptance sampling, 1982",
    needs=("validation", "metadata"),
)
def worst_group(context: CheckContext) -> Finding:
    """Largest gap, over groups, between the accuracy of the other images and the group's own, class by class.

    What is expected of a group is the accuracy outside it, with its own mix of classes: a site with more of a hard
    class is not blamed for it. Groups are the values of each metadata column (a numeric one in quarters), each value
    within each class, and two columns' values together (where both have at most ten). The gap's interval joins the
    exact intervals of both accuracies (Newcombe 1998, square and add). One group outside the tolerance fails
    (Bonferroni over all groups); a pass needs every group inside; else it is inconclusive, and says which groups are
    undecided and how many of their images would decide. The tolerance is a policy: random sites of digits and MNIST
    have worst gaps up to .07, which 500 images tell from .2.
    """
    labels, predicted = labels_and_predictions(context)
    metadata = context.target.split("validation").metadata
    if not metadata:
        raise UnsupportedError("the validation images have no metadata: data.metadata names none of them")
    columns = {name: np.asarray(column)[context.indices("validation")] for name, column in metadata.items()}
    found = groups(labels == predicted, labels, columns, context.target.classes)
    if not found:
        raise UnsupportedError(
            f"no column of the metadata ({', '.join(columns)}) tells the {len(labels)} validation images apart"
        )
    rows = sorted(bounded(found, context.tolerance, context.confidence), key=lambda row: -row.group.gap)
    worst = rows[0].group
    undecided = [row for row in rows if row.verdict(context.tolerance) == "undecided"]
    needed = [len(labels) * row.needed / row.group.images for row in undecided if row.needed]
    return context.judge(
        worst.gap,
        (max(row.low for row in rows), max(row.high for row in rows)),
        n=len(labels),
        needed_n=int(np.ceil(max(needed))) if needed else None,
        summary=f"The worst of {len(rows)} groups, {worst.name}, has {worst.accuracy:.3f} accuracy; "
        f"{worst.expected:.3f} is expected from the other images.{_undecided(undecided, len(rows))}",
        evidence=_figures(rows, context.tolerance),
    )


def _undecided(rows: Sequence[Bounded], groups: int) -> str:
    """Which groups are undecided, and how many of their images would decide."""
    if not rows:
        return ""
    smallest = sorted(rows, key=lambda row: row.group.images)[:NAMED]
    named = "; ".join(
        f"{row.group.name}, {row.group.images} images" + (f" of about {row.needed:,} needed" if row.needed else "")
        for row in smallest
    )
    return f" {len(rows)} of {groups} groups are undecided ({named}{'; ...' if len(rows) > NAMED else ''})."


def _figures(rows: Sequence[Bounded], tolerance: float) -> list[Evidence]:
    """The worst gaps as bars; all groups that are not inside, and the worst of the others, as a table."""
    shown = sorted(rows, key=lambda row: row.verdict(tolerance) == "inside")[:LISTED]
    return [
        evidence.bars(
            "Accuracy below that of the other images",
            {row.group.name: row.group.gap for row in rows[:LISTED]},
            label="gap",
            tolerance=tolerance,
        ),
        evidence.table(
            "Groups",
            ("group", "images", "accuracy", "expected", "tolerance", "images that would decide"),
            [
                (
                    row.group.name,
                    row.group.images,
                    round(row.group.accuracy, 3),
                    round(row.group.expected, 3),
                    row.verdict(tolerance),
                    f"{row.needed:,}" if row.needed else "",
                )
                for row in shown
            ],
        ),
    ]


def sites(seed: int, bad: bool, source: str = "digits", number: int = 3) -> AuditTarget:
    """Images from several sites at random; the last one, where it is bad, gives away others for most of its images."""
    images, labels, _ = sampled(source, "validation", seed)
    site = generator("planted", seed, "sites").integers(number, size=len(labels))
    return _from_sites(source, seed, images, labels, site, (site == number - 1) & bad)


def two_classes_of_sites(seed: int, bad: str = "") -> AuditTarget:
    """Circles and squares from two sites; the second may give away others for most of its images, or of its squares."""
    images, labels, _ = sampled("dataset 1.3", "validation", seed)
    images, labels = images[labels < 2], labels[labels < 2]
    site = generator("planted", seed, "sites").integers(2, size=len(labels))
    wrong = (site == 1) & ((labels == 1) | (bad == "site"))
    return _from_sites("dataset 1.3", seed, images, labels, site, wrong & bool(bad))


def _from_sites(
    source: str,
    seed: int,
    images: np.ndarray,
    labels: np.ndarray,
    site: np.ndarray,
    bad: np.ndarray,
    device: np.ndarray | None = None,
) -> AuditTarget:
    """The model on images with their site, and device, six in ten of the bad ones replaced by other classes' images."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "mixed up")
    wrong = bad & (rng.random(len(labels)) < 0.6)
    others = np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])
    given = np.where(wrong[:, None, None, None], images[others], images)
    named = {"site": np.array([f"site {chr(65 + s)}" for s in site])}
    if device is not None:
        named["device"] = np.array([f"device {d}" for d in device])
    columns = {"validation": named}
    classes, model = sampled(source, "validation", seed)[2], fitted_readout(source, seed)
    return AuditTarget.from_arrays(source, model, {"validation": (given, labels)}, classes, columns)


def site_accuracies(seed: int, accuracies: Sequence[float], images: int = 500) -> AuditTarget:
    """Two classes, told apart by predictions that are right with a given chance at each site."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "site accuracies")
    labels, site = rng.integers(2, size=images), rng.integers(len(accuracies), size=images)
    right = rng.random(images) < np.array(accuracies)[site]
    pictures = write_predictions(np.zeros((images, 1, 2, 2), np.float32), np.where(right, labels, 1 - labels), 2)
    columns = {"validation": {"site": np.array([f"site {chr(65 + s)}" for s in site])}}
    return AuditTarget.from_arrays("sites", reads_pixel(2), {"validation": (pictures, labels)}, ("a", "b"), columns)


def devices_at_sites(seed: int, bad: bool) -> AuditTarget:
    """Circles and squares from two sites and two devices; one device at one of the sites may give away others."""
    images, labels, _ = sampled("dataset 1.3", "validation", seed)
    images, labels = images[labels < 2], labels[labels < 2]
    rng = generator("planted", seed, "devices")
    site, device = rng.integers(2, size=len(labels)), rng.integers(2, size=len(labels))
    return _from_sites("dataset 1.3", seed, images, labels, site, (site == 1) & (device == 1) & bad, device)


PLANTS = [
    Plant("one device at one site", partial(devices_at_sites, bad=True), partial(devices_at_sites, bad=False)),
    Plant("a bad site", partial(two_classes_of_sites, bad="site"), two_classes_of_sites),
    Plant("one class at one site", partial(two_classes_of_sites, bad="class"), two_classes_of_sites),
]


POPULATIONS = [
    Population("eight sites of accuracy .85", partial(site_accuracies, accuracies=[0.85] * 8)),
    *(
        Population(f"{number} random sites of {source}", partial(sites, bad=False, source=source, number=number))
        for source in ("digits", *real.names())
        for number in (2, 3)
    ),
]
