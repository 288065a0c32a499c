"""Does LIME say the same about an image when it draws other samples?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    pass
from typing import TYPE_CHECKING

from cnnaudit.checks.fidelity._shared import _effort, _interval, _subject

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.fidelity._plants import _split
from cnnaudit.checks.small_targets import plain


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
    target = context.target
    from cnnaudit.checks.fidelity._effort import LIME_SAMPLES
    from cnnaudit.checks.fidelity._stability import lime_stability

    subject, effort = _subject(context), _effort(context)
    if not effort.lime_images:
        raise UnsupportedError(
            f"{3 * LIME_SAMPLES} passes for each image of this size are more than this profile spends; ask with "
            "--audit-profile deep"
        )
    count, seed = min(effort.lime_images, len(subject.images)), derive_seed(context.seed, target.name, "lime")
    found = lime_stability(subject, count, LIME_SAMPLES, context.generator("places"), seed)
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
        _interval(context, n, lambda rows: float(found.agreement[rows].mean()), (-1, 1)),
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
        "planted: swings with every detail", Restless(), _split(clean), classes=clean.classes
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
