"""Does LIME say the same about an image when it draws other samples?

LIME explains an image by a linear model of masked copies. Where the order of the superpixels changes with the random
masks, the picture shows the draw. The audit asks twice, with different seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.fidelity._digit_targets import validation_of
from cnnaudit.checks.fidelity._methods import effort, interval, subject
from cnnaudit.checks.small_targets import plain
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._evaluation_set import Subject
    from cnnaudit.target import AuditTarget


def agreement(weights: Sequence[np.ndarray]) -> float:
    """The mean rank correlation of one image's superpixel weights between two seeds, over all pairs of seeds.

    Args:
        weights: for each seed (S,), the weight of each superpixel; the segments are the same for all seeds.

    Example:
        >>> agreement([np.array([0.1, 0.5, 0.2]), np.array([1.0, 5.0, 2.0])])
        1.0
    """
    from cnnaudit.checks.fidelity._attribution_maps import rank_similarity

    rows = np.stack(weights)
    first, second = np.triu_indices(len(rows), 1)
    return float(rank_similarity(rows[first], rows[second]).mean())


def segmentation_for(images: torch.Tensor) -> str:
    """`quickshift`, which photographs are cut by; in images of less than 64 pixels it sees one segment: `slic`."""
    return "quickshift" if min(images.shape[2:]) >= 64 else "slic"


@dataclass(frozen=True, slots=True)
class LimeStability:
    """What LIME says of some images, asked with two seeds.

    Attributes:
        agreement: (N,), rank correlation of the superpixels' weights between the seeds.
        fit: (N,), weighted R^2 of the local linear fit.
        segments: (N,), how many superpixels.
        spill: (M,), how strong the weights are outside the content of images whose content was moved.
        samples: masked images for each explanation.
    """

    agreement: np.ndarray
    fit: np.ndarray
    segments: np.ndarray
    spill: np.ndarray
    samples: int


def lime_stability(subject: Subject, images: int, samples: int, rng: np.random.Generator, seed: int) -> LimeStability:
    """LIME of the predicted class of the first `images` images, and once of their contents at random places.

    Raises:
        UnsupportedError: `lime` is not installed, or fewer than two images have more than one superpixel.
    """
    import torch

    from cnnaudit.attribution._lime import lime_explanation
    from cnnaudit.checks.fidelity._pointing_game import placed, spill

    model = subject.target.model
    settings: dict[str, Any] = {"samples": samples, "segmentation": segmentation_for(subject.images)}
    seed %= 2**31
    found, skipped = [], ""
    for index in progress(range(images), "LIME", images):
        image, label = subject.images[index], int(subject.classes[index])
        try:
            pair = [lime_explanation(model, image, label, seed=seed + k, **settings) for k in (0, 1)]
        except UnsupportedError as reason:
            skipped = str(reason)
            continue
        found.append((agreement([one.weights[0] for one in pair]), pair[0].fit[0], pair[0].weights.shape[1]))
    if len(found) < 2:
        raise UnsupportedError(skipped or "needs at least 2 images")
    moved = placed(subject.images[:images].cpu(), rng)
    shares = []
    for image, box in zip(moved.images.to(subject.images.device), moved.boxes):
        try:
            plane = lime_explanation(model, image, seed=seed, **settings).pixels()
        except UnsupportedError:
            continue
        shares.append(float(spill(torch.from_numpy(np.abs(plane))[None], [box])[0]))
    columns = [np.array(column, dtype=float) for column in zip(*found)]
    return LimeStability(columns[0], columns[1], columns[2], np.array(shares), samples)


@check(
    question="Does LIME say the same about an image when it draws other samples?",
    statistic="rank correlation of the superpixels' weights between two seeds",
    unit="rank correlation",
    direction="at_least",
    tolerance=0.5,
    gate=False,
    remedy="Draw more samples (`lime(..., samples=5000)`) or use fewer, larger superpixels, until the order of the "
    "superpixels no longer depends on the seed.",
    reference="Ribeiro et al., Why should I trust you?, KDD 2016 (arXiv 1602.04938); marcotcr/lime issues 477 and 767",
    needs=("validation",),
)
def lime(context: CheckContext) -> Finding:
    """Spearman's rank correlation of LIME's superpixel weights between seeds, averaged over images.

    Beside it, unjudged, the weighted R^2 of the local linear fit, and how much of the weights stands outside the
    content of images whose content was put at a random place (`spill`, .5 where they know nothing of it). Tolerance:
    half; a linear answer measures .89 or more, and one that swings with every detail less than .05.
    """
    from cnnaudit.checks.fidelity._budget import LIME_SAMPLES

    images, most = subject(context), effort(context).lime_images
    if not most:
        raise UnsupportedError(
            f"{3 * LIME_SAMPLES} passes for each image of this size are more than this profile spends; run with "
            "--profile deep"
        )
    count, seed = min(most, len(images.images)), derive_seed(context.seed, context.target.name, "lime")
    found = lime_stability(images, count, LIME_SAMPLES, context.generator("places"), seed)
    n, mean = len(found.agreement), float(found.agreement.mean())
    names = ("agreement of two seeds", "R^2 of the local fit", "superpixels", "outside the content, .5: anywhere")
    values = (found.agreement, found.fit, found.segments, found.spill)
    rows = [
        [name, len(value), *(float(f"{np.quantile(value, q):.3g}") for q in (0, 0.5, 1))]
        for name, value in zip(names, values)
        if len(value)
    ]
    return context.judge(
        mean,
        interval(context, n, lambda rows: float(found.agreement[rows].mean()), (-1, 1)),
        n=n,
        summary=f"Between two seeds of {found.samples} samples the superpixels' weights have a rank correlation of "
        f"{mean:.2f}; the local linear model explains {found.fit.mean():.0%} of the variance.",
        evidence=[evidence.table("LIME of the images", ["what", "images", "lowest", "median", "highest"], rows)],
    )


def restless(seed: int) -> AuditTarget:
    """A classifier whose answer swings back and forth with every detail of the image: no linear model fits it."""
    from torch import nn

    from cnnaudit.target import AuditTarget

    clean = plain(seed, "digits")

    class Restless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader = clean.model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = 5 * (300 * self.reader(images)).sin()
            return logits

    return AuditTarget.from_arrays(
        "planted: swings with every detail", Restless(), validation_of(clean), classes=clean.classes
    )


def weighed(seed: int) -> AuditTarget:
    """Tells digits with much ink from those with little, each row of pixels weighing more than the one above it."""
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation", seed)
    rows = np.linspace(0.2, 1.8, data.images.shape[2])[:, None]
    ink = (data.images[:, 0] * rows).mean((1, 2))
    network = nn.Sequential(nn.Flatten(), nn.Linear(data.images[0].size, 2))
    with torch.no_grad():
        weight = torch.from_numpy(np.broadcast_to(rows, data.images.shape[2:]).copy()).flatten().float() / 784
        network[1].get_parameter("weight").copy_(10 * torch.stack([-weight, weight]))
        network[1].get_parameter("bias").copy_(torch.tensor([1.0, -1.0]) * 10 * float(np.median(ink)))
    split = {"validation": (data.images, (ink > np.median(ink)).astype(np.int64))}
    return AuditTarget.from_arrays("planted: ink, row by row", network, split, classes=("little", "much"))


PLANTS = [
    Plant("an answer that swings with every detail", restless, weighed),
]


POPULATIONS = [
    Population("ink, row by row", weighed, 20),
]
