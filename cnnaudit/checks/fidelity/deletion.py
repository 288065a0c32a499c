"""Does removing what the picture points at hurt the prediction more than removing anything?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import real
from cnnaudit.checks.fidelity._shared import _LEAST, _interval, _judged, _maps, _refusals, _title

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.fidelity._plants import _split
from cnnaudit.checks.small_targets import plain, trained


@check(
    question="Does removing what the picture points at hurt the prediction more than removing anything?",
    statistic="probability removed beyond that by the same map at a random place",
    unit="share of what can be removed",
    direction="at_least",
    tolerance=0.1,
    gate=False,
    remedy="Do not read this method's picture as what the prediction rests on; occlusion measures that directly.",
    reference="Samek et al., Evaluating the visualization of what a deep neural network has learned, 2017 "
    "(arXiv 1509.06321); Petsiuk et al., RISE, 2018 (arXiv 1806.07421)",
    needs=("validation",),
)
def deletion(context: CheckContext) -> list[Finding]:
    """What deleting the most attributed cells takes away beyond deleting by the same map at a random place; per method.

    Of each image 5, 15 and 40 % of a grid of at most 28 x 28 cells are replaced by the image's own blur, which
    keeps its colors and brightness (black holes would be judged, not the map). The statistic is the sum over images of
    mean over shares of (p after deletion by the map moved - p after that by the map) / sum of (p - p of the blur), p
    being the probability of the predicted class; only images whose class owes .2 of its probability to more than the
    blur. The map itself, turned over the edges to a random place, is the chance level, since cells strewn at random do
    more harm than any hole that hangs together (Grad-CAM on MobileNetV2 would seem worse than chance); for a blank map
    both are strewn at random, and it measures 0.
    Interval: bootstrap over images. The edge detector stands in each table: a method that does no better than it has
    found where things are, not what the network uses. Tolerance: the 1 % point of the gradient in trained networks is
    .23, and the interval of 96 images reaches .12 below: .1.
    """
    target = context.target
    from cnnaudit.checks.fidelity._evaluate import deletions
    from cnnaudit.checks.fidelity._figures import deletion_curves, deletion_tables

    subject, maps, refused = _maps(context)
    detailed = subject.detailed
    if detailed.sum() < _LEAST:
        raise UnsupportedError(
            f"only {detailed.sum()} of {len(detailed)} images are answered differently from their own blur, so that "
            f"there is nothing to delete; {_LEAST} are needed"
        )
    measured = deletions(subject, maps, derive_seed(context.seed, target.name, "fidelity", "orders"))
    judged = _judged(measured)
    part = context.among(len(judged))
    intervals = {
        name: _interval(part, len(found.before), found.gain, (-1, 1), name) if len(found.before) >= _LEAST else None
        for name, found in measured.items()
    }
    tables, edges = deletion_tables(measured, intervals), measured["edges"].gain()
    findings = []
    for name in judged:
        found, interval = measured[name], intervals[name]
        if interval is None:
            refused[name] = f"only {len(found.before)} of the images that the profile affords can be judged"
            continue
        finding = part.judge(
            found.gain(),
            interval,
            n=len(found.before),
            part=name,
            summary=f"{_title(name)}: deleting what it points at takes away {_more(found.gain())} of the removable "
            f"probability than deleting the same cells elsewhere; by an edge detector's picture it is {_more(edges)}.",
            evidence=[*tables(name, name == judged[0]), deletion_curves(found, measured["edges"])],
        )
        findings.append(finding)
    return [*findings, *_refusals(context, refused)]


def _more(share: float) -> str:
    """A share of either sign in words."""
    return f"{abs(share):.0%} {'more' if share >= 0 else 'less'}"


def masked_gradient(seed: int, source: str = "digits") -> AuditTarget:
    """A right classifier of the image in 5 gray levels, plus a faint ripple, which is all that its gradient shows."""
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    clean = plain(seed, source, trained=True)

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader = clean.model
            shape = (clean.input.channels, *clean.input.size)
            drawn = torch.randn(len(clean.classes), *shape, generator=torch.Generator().manual_seed(seed))
            self.register_buffer("ripple", drawn / drawn[0].numel())

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            waves = (200 * images).sin().flatten(1) @ self.get_buffer("ripple").flatten(1).T
            logits: torch.Tensor = self.reader((images * 4).round().detach() / 4) + 0.01 * waves
            return logits

    return AuditTarget.from_arrays("planted: masked gradient", Masked(), _split(clean), classes=clean.classes)


PLANTS = [
    Plant(
        "a gradient of nothing but a faint ripple",
        masked_gradient,
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
