"""Do predictions depend on what the padding holds?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.padding._shared import _REPEAT, _THESIS, _affordable, _observed, _some

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.padding._plants import edge_network
from cnnaudit.checks.small_targets import trained


@check(
    question="Do predictions depend on what the padding holds?",
    statistic="share of predictions that change under replicate padding",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=False,
    remedy=f"{_REPEAT} See padding.border_maximum for the layers that read the border.",
    reference=f"Garriga, Studying the characterisation of deep CNN neurons, 2019; {_THESIS}",
    needs=("validation", "inside"),
)
def prediction_flip(context: CheckContext) -> Finding:
    """Share of predictions that change when all padding is replicate, with an exact binomial interval.

    Beside it stand, unjudged, the share that changes when one layer's padding alone holds uniform noise from the
    range of its input (each layer on a few images, then the worst layer on all), and both for an untrained copy. Noise
    is not judged because it accuses the innocent: on dataset 3.0 it changes 59 % of the predictions of networks trained
    with replicate padding and 41 % of those trained with zeros (medians), replicate padding 0 and 1 to 23 %.
    Tolerance: the 99 % point of the clean populations is .047 (circular padding), and the interval of 125 images
    reaches .05 beyond: .1.
    """
    target = context.target
    from cnnaudit.checks.padding._figures import flip_figures
    from cnnaudit.checks.padding._flips import (
        noise_effects,
        noise_predictions,
        padding_convolutions,
        replicate_predictions,
    )

    layers = padding_convolutions(_observed(target))
    if not layers:
        raise UnsupportedError("no convolution pads its input, so there is no padding to replace")
    images = context.sample("validation")[0]
    chosen = _some(context, len(images), _affordable(context, 125))
    images, before = images[chosen], context.predictions("validation")[chosen].argmax(1)
    few = images[: max(4, _affordable(context, 100) // len(layers))]
    effects = noise_effects(target.model, target.logits, few, layers, context.torch_generator("screen"))
    worst = effects[0].layer
    after = replicate_predictions(target.logits, images, target.model)
    noisy = noise_predictions(target.logits, images, target.model, worst, context.torch_generator("noise"))
    flips = int((after != before).sum())
    row = ["this model", len(images), flips / len(images), float((noisy != before).double().mean())]
    untrained = _untrained_flips(target, context, images[: _affordable(context, 24)], worst)
    beside = f" (in an untrained copy {untrained[2]:.1%} and {untrained[3]:.1%})" if untrained else ""
    return context.judge_share(
        flips,
        len(images),
        summary=f"{row[2]:.1%} of the predictions change when all padding repeats the nearest pixel, {row[3]:.1%} when "
        f"the padding of layer {worst} alone holds noise{beside}.",
        locations=[Location(effect.flips, layer=effect.layer) for effect in effects],
        evidence=flip_figures(
            [row, *([untrained] if untrained else [])], effects, images, before, after, target.classes
        ),
    )


def _untrained_flips(target: AuditTarget, context: CheckContext, images: torch.Tensor, layer: str) -> list[Any]:
    """The row of an untrained copy: its name, images, shares changed by replicate padding and by noise; or nothing."""
    from cnnaudit.checks.padding._flips import noise_predictions, replicate_predictions
    from cnnaudit.models.untrained import untrained_twin

    model = untrained_twin(target.model, images.to(target.device), seed=context.seed)
    if model is None:
        return []
    logits = replace(target, model=model, _cache={}).logits
    before = logits(images).argmax(1)
    after = replicate_predictions(logits, images, model)
    noisy = noise_predictions(logits, images, model, layer, context.torch_generator("noise"))
    return ["untrained copy", len(images), *(float((p != before).double().mean()) for p in (after, noisy))]


PLANTS = [
    Plant(
        "units that fire at the border carry the class",
        partial(edge_network, padding_mode="zeros", task="polarity"),
        partial(edge_network, padding_mode="replicate", task="polarity"),
    ),
]


POPULATIONS = [
    Population("dataset 3.0, trained with replicate padding", partial(trained, padding_mode="replicate"), 20),
    Population("dataset 3.0, trained with reflect padding", partial(trained, padding_mode="reflect"), 20),
    Population("dataset 3.0, trained with circular padding", partial(trained, padding_mode="circular"), 20),
]
