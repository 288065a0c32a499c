"""Does the same image always get the same answer, whatever else is asked with it?

Dropout that is left on, or normalization by the statistics of the batch, make an answer depend on chance or on the
other images of the batch. The same images are asked again in several ways, and the logits are compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.behavior._sample import LISTED, image_names, sampled_images
from cnnaudit.checks.behavior._wrapped_models import wrapped
from cnnaudit.checks.small_targets import fitted_readout, on_validation, plain, sampled
from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

REPEATED = 64  # images asked again
ALONE = 16  # of these, images asked one at a time


@dataclass(frozen=True, slots=True)
class Repetition:
    """One more asking of the same images.

    Attributes:
        how: in which way they were asked again.
        difference: per image, how far its logits moved, relative to the spread of all logits.
        changed: per image, whether its predicted class changed.
    """

    how: str
    difference: torch.Tensor
    changed: torch.Tensor


def repetitions(answer: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, seed: int) -> list[Repetition]:
    """Ask for the same images again: once more alike, in other batches and order, and one at a time.

    The difference of an image is max_k |z'_k - z_k| / s, where z are its logits less their mean over the classes (a
    constant added to all logits changes no prediction) and s is the root mean square of z over all images. It is about
    1e-6 for the same sums in another order in float32, 1e-2 in bfloat16, and above it where the answer depends on
    chance or on the other images of a batch.

    A model that draws from torch's global random state is given one seeded by `seed`; the state is put back.

    Args:
        answer: gives the logits (n, K) of images (n, C, H, W), a batch at a time.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 2))
        >>> again = repetitions(net, torch.rand(8, 1, 4, 4), seed=0)[0]
        >>> again.how, bool(again.difference.max() > 0.1)
        ('the same batch again', True)
    """
    import torch

    n = len(images)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        first = answer(images)
        again = answer(images)
        mixed = torch.cat([answer(images[part]) for part in torch.split(shuffled, max(1, n // 4))])[shuffled.argsort()]
        alone = torch.cat([answer(image[None]) for image in images[:ALONE]])
    return [
        _compared("the same batch again", again, first),
        _compared("other batches, other order", mixed, first),
        _compared("one image at a time", alone, first),
    ]


def _compared(how: str, second: torch.Tensor, first: torch.Tensor) -> Repetition:
    """How the second answers differ from the first ones (of which there may be more)."""
    before, after = (logits.double() - logits.double().mean(1, keepdim=True) for logits in (first, second))
    spread = before.square().mean().sqrt().clamp(min=1e-30)  # a model may answer the same to everything
    difference = (after - before[: len(after)]).abs().amax(1) / spread
    return Repetition(how, difference, second.argmax(1) != first[: len(second)].argmax(1))


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

    The difference is in units of the logits' own spread (see `repetitions`): rounding in another order of sums stays
    below the tolerance in every number format, chance and batch statistics do not. It is exact: no sampling error is
    involved. A prediction that changes within the tolerance is a tie up to rounding and is counted.
    The tolerance is ten times the largest difference measured without a defect (Inception v3 in bfloat16: .0045;
    float32: 1e-5); planted dropout and batch statistics move the logits by .3 and more.
    """
    target = context.target
    images, _ = sampled_images(context, least=1)
    chosen = np.unique(np.linspace(0, len(images) - 1, REPEATED).round().astype(int))
    asked = repetitions(target.logits, images[chosen], derive_seed(context.seed, target.name, context.check.id))
    worst = max(asked, key=lambda repetition: float(repetition.difference.max()))
    largest = float(worst.difference.max())
    changed = sum(int(repetition.changed.sum()) for repetition in asked)
    order = worst.difference.argsort(descending=True)[:LISTED].numpy()
    names = image_names(context, chosen[order])
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

    return on_validation("digits", seed, wrapped(fitted_readout("digits", seed), normalize))


def dropout(seed: int, training: bool) -> AuditTarget:
    """A network whose dropout is left on, or off."""
    from torch.nn import functional

    model = wrapped(fitted_readout("digits", seed), lambda x: functional.dropout(x, 0.2, training=training))
    return on_validation("digits", seed, model)


def half_precision(seed: int) -> AuditTarget:
    """A network that computes in bfloat16."""
    import torch

    model = copy.deepcopy(fitted_readout("digits", seed)).to(torch.bfloat16)
    return on_validation("digits", seed, wrapped(model, lambda x: x.to(torch.bfloat16)))


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
