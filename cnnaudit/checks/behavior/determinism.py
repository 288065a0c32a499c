"""Does the same image always get the same answer, whatever else is asked with it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    pass
import copy
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.behavior._shared import LISTED, _images, _names

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.behavior._plants import _after
from cnnaudit.checks.small_targets import fitted_readout, on_validation, plain, sampled

REPEATED = 64  # images asked again


@check(
    question="Does the same image always get the same answer, whatever else is asked with it?",
    statistic="largest change of an image's logits when asked again",
    unit="of the logits' spread",
    direction="at_most",
    tolerance=0.05,
    gate=True,
    remedy="Make the answer a function of the image alone: call eval(), and look for dropout or batch normalization "
    "with training=True in the model's code.",
    reference="Ioffe and Szegedy, Batch normalization, 2015, section 3.1 (inference must depend on the input alone)",
    needs=("validation",),
    exact=True,
)
def determinism(context: CheckContext) -> Finding:
    """Largest relative change of the logits of 64 images asked again alike, in other batches and order, and alone.

    The difference is that of `cnnaudit.checks.behavior._repeatability`, in units of the logits' own spread: rounding in another
    order of sums stays below the tolerance in every number format, chance and batch statistics do not. It is exact: no
    sampling error is involved. A prediction that changes within the tolerance is a tie up to rounding and is counted.
    The tolerance is ten times the largest difference measured without a defect (Inception v3 in bfloat16: .0045;
    float32: 1e-5); planted dropout and batch statistics move the logits by .3 and more.
    """
    target = context.target
    from cnnaudit.checks.behavior._repeatability import repetitions

    images, _ = _images(context, least=1)
    chosen = np.unique(np.linspace(0, len(images) - 1, REPEATED).round().astype(int))
    asked = repetitions(target.logits, images[chosen], derive_seed(context.seed, target.name, context.check.id))
    worst = max(asked, key=lambda repetition: float(repetition.difference.max()))
    largest = float(worst.difference.max())
    changed = sum(int(repetition.changed.sum()) for repetition in asked)
    order = worst.difference.argsort(descending=True)[:LISTED].numpy()
    names = _names(target, context, chosen[order])
    return context.judge(
        largest,
        (largest, largest),
        n=len(chosen),
        summary=f"Asked again, {len(chosen)} images get the same logits up to {largest:.2g} of their spread "
        f"({worst.how}); {changed} of {sum(len(r.changed) for r in asked)} predictions change.",
        locations=[Location(float(worst.difference[i]), image=name) for i, name in zip(order, names, strict=True)],
        evidence=[
            evidence.table(
                "Asked again",
                ("how", "largest change", "predictions changed"),
                [(r.how, float(f"{r.difference.max():.3g}"), int(r.changed.sum())) for r in asked],
            )
        ],
    )


def batch_statistics(seed: int, training: bool) -> AuditTarget:
    """A network whose batch normalization uses the batch's statistics (training=True), or its running ones."""
    from torch.nn import functional

    images, _, _ = sampled("digits", "train", seed)
    mean, variance = float(images.mean()), float(images.var())

    def normalize(x: torch.Tensor) -> torch.Tensor:
        running = x.new_tensor([mean]), x.new_tensor([variance])
        normal: torch.Tensor = functional.batch_norm(x, *running, training=training)
        return normal.mul(variance**0.5).add(mean)

    return on_validation("digits", seed, _after(normalize, fitted_readout("digits", seed)))


def dropout(seed: int, training: bool) -> AuditTarget:
    """A network whose dropout is left on, or off."""
    from torch.nn import functional

    model = _after(lambda x: functional.dropout(x, 0.2, training=training), fitted_readout("digits", seed))
    return on_validation("digits", seed, model)


def half_precision(seed: int) -> AuditTarget:
    """A network that computes in bfloat16."""
    import torch

    model = copy.deepcopy(fitted_readout("digits", seed)).to(torch.bfloat16)
    return on_validation("digits", seed, _after(lambda x: x.to(torch.bfloat16), model))


PLANTS = [
    Plant(
        "batch normalization with training=True",
        partial(batch_statistics, training=True),
        partial(batch_statistics, training=False),
    ),
    Plant("dropout left on", partial(dropout, training=True), partial(dropout, training=False)),
]


POPULATIONS = [
    Population("digits in float32", partial(plain, source="digits", trained=True)),
    Population("digits in bfloat16", half_precision),
]
