"""Do predictions hold under the changes that the target's file claims they do not mind?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    from cnnaudit.checks.behavior._perturbations import Variation
    from cnnaudit.target import AuditTarget
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnaudit.checks.behavior._shared import _THESIS, LISTED, _images, _names

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.behavior._plants import _REAL
from cnnaudit.checks.small_targets import on_validation, trained_lenet


@check(
    question="Do predictions hold under the changes that the target's file claims they do not mind?",
    statistic="predictions that change",
    unit="share of images",
    direction="at_most",
    tolerance=0.15,
    gate=True,
    remedy="Train with this change (augmentation over the whole claimed range), or lower the claim.",
    reference=_THESIS,
    needs=("validation",),
)
def invariance(context: CheckContext) -> list[Finding]:
    """For each claim (rotation, translation, scale, polarity, noise): share of predictions that change.

    Every image is changed once, by a random amount from the upper half of the claimed range, either way (see
    `cnnaudit.checks.behavior._perturbations`), and the share of images whose predicted class differs from that of the
    unchanged image has an exact binomial interval. The confidence is divided among the claims. The tolerance adds to
    what 99 % of LeNets trained with the change show (.10 on MNIST, where uncertain images change most easily) the
    half interval of 500 images; those trained without it show .2 to 1.
    """
    target = context.target
    from cnnaudit.checks.behavior._perturbations import VARIATIONS

    claimed = {name: v for name, v in VARIATIONS.items() if getattr(target.claims, v.claim)}
    if not claimed:
        raise UnsupportedError(
            "the file claims no invariance (claims.rotation_degrees, translation_pixels, scale, polarity, noise)"
        )
    part_trial = context.among(len(claimed))
    return [_invariance(target, part_trial, name, variation) for name, variation in claimed.items()]


def _invariance(target: AuditTarget, context: CheckContext, name: str, variation: Variation) -> Finding:
    """The finding of one claim."""
    from cnnaudit.checks.behavior import _pictures as pictures
    from cnnaudit.checks.behavior._invariance import vary

    images, labels = _images(context)
    before = context.predictions("validation").argmax(1)
    limit = float(getattr(target.claims, variation.claim))
    found = vary(target.logits, images, before, variation, limit, context.torch_generator(name), target.batch_size)
    moved = (found.predicted != before).nonzero().flatten()
    shown = moved[: len(found.changed)]
    captions = [
        (
            target.classes[before[i]] + (" (right)" if before[i] == labels[i] else " (wrong)"),
            target.classes[found.predicted[i]]
            + (f" at {found.magnitudes[i]:.3g} {variation.unit}" if variation.unit else ""),
        )
        for i in shown
    ]
    accuracy = [float((predicted == labels).double().mean()) for predicted in (before, found.predicted)]
    bands = found.bands(before)
    chart = (
        [evidence.bars(f"Change by {name}", bands, label=f"share that changes, by {variation.unit}")] if bands else []
    )
    return context.judge_share(
        len(moved),
        len(images),
        part=name,
        summary=f"{len(moved)} of {len(images)} predictions change when images are "
        f"{variation.phrase.format(limit=limit)}; accuracy goes from {accuracy[0]:.3f} to {accuracy[1]:.3f}.",
        locations=[Location(1.0, image=image) for image in _names(target, context, moved[:LISTED].numpy())],
        evidence=chart + pictures.pairs("Predictions that change", images[shown], found.changed, captions),
    )


_CLAIMS: Mapping[str, tuple[str, Any]] = {
    "rotation": ("rotation_degrees", 45),
    "translation": ("translation_pixels", 4),
    "scale": ("scale", 1.6),
    "polarity": ("polarity", True),
    "noise": ("noise", 1.0),
}


def varied(
    seed: int, variation: str, trained: bool, source: str = "figures", limit: float | None = None
) -> AuditTarget:
    """A LeNet trained with or without the variation, whose file claims not to mind it."""
    from cnnaudit.target import Claims

    claim, usual = _CLAIMS[variation]
    reach: Any = usual if limit is None else limit
    model = trained_lenet(source, seed, variation if trained else "", reach if trained else 0.0)
    return on_validation(source, seed, model, claims=Claims(**{claim: reach}))


PLANTS = [
    *(
        Plant(
            f"trained without {variation}",
            partial(
                varied, variation=variation, trained=False, source="digits" if variation == "rotation" else "figures"
            ),
            partial(
                varied, variation=variation, trained=True, source="digits" if variation == "rotation" else "figures"
            ),
            part=variation,
        )
        for variation in _CLAIMS
    ),
]


POPULATIONS = [
    *(
        Population(
            f"LeNets on {source}, trained with {variation} up to {limit:g}",
            partial(varied, variation=variation, trained=True, source=source, limit=limit),
            part=variation,
        )
        for source in ("digits", *_REAL[:1])
        for variation, limit in (("rotation", 30), ("translation", 2), ("scale", 1.3), ("polarity", 1), ("noise", 0.3))
    ),
]
