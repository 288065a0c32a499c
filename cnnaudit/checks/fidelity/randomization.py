"""Does the picture change when the network's weights are random?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from cnnaudit.checks.fidelity._randomization import Randomization
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import real
from cnnaudit.checks.fidelity._shared import _effort, _interval, _judged, _maps, _refusals, _title

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.fidelity._plants import _digits_target, _drawn
from cnnaudit.checks.small_targets import plain, trained

_ADEBAYO = "Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018 (arXiv 1810.03292)"


@check(
    question="Does the picture change when the network's weights are random?",
    statistic="share of the map that survives random weights",
    unit="share of rank similarity",
    direction="at_most",
    tolerance=0.5,
    gate=False,
    remedy="Do not read this method's pictures as explanations of this model: they mostly show the image, as an edge "
    "detector does. Use a method that passes, and show the edge detector's picture beside it.",
    reference=f"{_ADEBAYO}; Hedström et al., A fresh look at sanity checks for saliency maps, 2024 (arXiv 2401.06465)",
    needs=("validation",),
)
def randomization(context: CheckContext) -> list[Finding]:
    """For each method, how much of a map's likeness to itself survives when all weights are drawn anew.

    (s_random - s_other) / (1 - s_other), with s Spearman's rank correlation of saliency maps on a grid of at most
    28 x 28 cells: s_random with the map of the same image in a network of random weights (a new one for each image), so
    that the interval, a bootstrap over images, covers networks too), s_other with maps of other images. 1 for an edge
    detector, 0 for a map that is no more like than another image's.

    Known confounds of the test and what is done about them: the layers from the top down keep what is below, so that
    the verdict rests on all layers (Binder et al. 2023), the upper ones are shown; maps full of noise change whatever
    happens, so that s_itself, with the map of the same image under faint noise, must exceed s_other by .1, else nothing
    is judged (the concern of sMPRT); complexity rises in a random network, and is shown (eMPRT).

    Tolerance: half of the map. The 99 % point of the gradient in trained networks is .10, and the interval of 16
    networks reaches up to .4 beyond.
    """
    target = context.target
    from cnnaudit.checks.fidelity._evaluate import randomizations
    from cnnaudit.checks.fidelity._figures import randomization_pictures, randomization_tables
    from cnnaudit.checks.fidelity._randomization import weighted_layers

    if not weighted_layers(target.model):
        raise UnsupportedError("the model has no weights that could be drawn anew")
    subject, maps, refused = _maps(context)
    networks = _effort(context).networks
    measured, unsupported = randomizations(subject, maps, networks, context.torch_generator("networks"))
    judged = _judged(measured)
    part = context.among(len(judged))
    tables = randomization_tables(measured)
    found = [
        _judge_randomization(
            part,
            name,
            measured[name],
            [*tables(name, name == judged[0]), randomization_pictures(measured[name], subject.grid)],
        )
        for name in judged
    ]
    return [*found, *_refusals(context, {**refused, **unsupported})]


def _judge_randomization(
    context: CheckContext, name: str, found: Randomization, shown: list[Mapping[str, Any]]
) -> Finding:
    """The finding of one method; refused where its maps are not even like themselves."""
    if not found.judgeable:
        return context.not_applicable(
            f"the maps of two images are as alike (rank correlation {found.other.mean():.2f}) as those of one image "
            f"with and without faint noise ({found.itself.mean():.2f}): they show nothing of their image that random "
            "weights could take away",
            part=name,
        )
    return context.judge(
        found.kept(),
        _interval(context, len(found.random), found.kept, (-np.inf, 1), name),
        n=len(found.random),
        part=name,
        summary=f"{_title(name)}: a map's rank correlation is {found.random.mean():.2f} with that of a random "
        f"network, {found.other.mean():.2f} with those of other images and {found.itself.mean():.2f} with itself under "
        f"faint noise; {max(found.kept(), 0):.0%} of the map survives random weights.",
        evidence=shown,
    )


def edge_detector(seed: int) -> AuditTarget:
    """A classifier of fixed edges whose weights only scale them: its gradient shows the edges, whatever the weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Edges(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(1, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
            slopes = functional.conv2d(images, torch.stack([sobel, sobel.T])[:, None])
            logits: torch.Tensor = self.last(slopes.square().mean((1, 2, 3))[:, None])
            return logits

    return _digits_target("an edge detector", _drawn(Edges(), seed))


PLANTS = [
    Plant(
        "an edge detector posing as saliency",
        edge_detector,
        partial(plain, source="digits", trained=True),
        part="gradient",
    ),
]


POPULATIONS = [
    Population("LeNets on digits", partial(plain, source="digits", trained=True), 6, part="gradient"),
    Population("LeNets on dataset 3.0", partial(plain, source="dataset 3.0", trained=True), 6, part="gradient"),
    Population("the minimum model of dataset 3.0", partial(trained, padding_mode="replicate"), 6, part="gradient"),
    *(
        (
            Population("LeNets on mnist", partial(plain, source="mnist", trained=True), 6, part="gradient"),
            Population("LeNets on cifar10", partial(plain, source="cifar10", trained=True), 6, part="gradient"),
        )
        if real.available()
        else ()
    ),
]
