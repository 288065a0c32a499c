"""Do predictions depend on what the padding holds?

Padding is no part of the image, so what it holds should not decide. All of it is replaced by the nearest pixel and the
predictions that change are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.padding._layer_calls import observed_calls, padding_convolutions
from cnnaudit.checks.padding._sample import affordable, some
from cnnaudit.checks.padding._small_networks import edge_network
from cnnaudit.checks.padding._sources import THESIS, USE_REPLICATE
from cnnaudit.checks.small_targets import trained
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    Logits = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What noise in the padding of one layer does: share of predictions changed, mean change of the logits."""

    layer: str
    flips: float
    change: float


def noise_effects(
    model: nn.Module,
    logits: Logits,
    images: torch.Tensor,
    layers: Sequence[str],
    generator: torch.Generator,
) -> list[LayerEffect]:
    """For each layer alone, what uniform noise from the range of its own input does in the place of its padding.

    The change is the mean absolute difference of the logits in units of their standard deviation.

    Args:
        logits: answers (N, K) to images; runs `model`.

    Returns:
        The effects, largest first (by share changed, then by change).

    Source: Garriga, Studying the characterisation of deep CNN neurons, 2019 (duality experiment).
    """
    from cnnaudit.interventions import padding_rule

    base = logits(images)
    scale = float(base.std()) or 1.0
    effects = []
    for layer in progress(layers, "padding noise, layer by layer", len(layers)):
        with padding_rule("noise", model=model, layers=[layer], generator=generator):
            changed = logits(images)
        flips = float((changed.argmax(1) != base.argmax(1)).double().mean())
        effects.append(LayerEffect(layer, flips, float((changed - base).abs().mean()) / scale))
    return sorted(effects, key=lambda effect: (-effect.flips, -effect.change))


def replicate_predictions(logits: Logits, images: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """The predicted classes, int64 (N,), when every convolution pads with the nearest pixel.

    Args:
        logits: answers (N, K) to images; runs `model`.
    """
    from cnnaudit.interventions import padding_rule

    with padding_rule("replicate", model=model):
        return logits(images).argmax(1)


def noise_predictions(
    logits: Logits,
    images: torch.Tensor,
    model: nn.Module,
    layer: str,
    generator: torch.Generator,
) -> torch.Tensor:
    """The predicted classes, int64 (N,), when the padding of one layer alone holds noise from its input's range."""
    from cnnaudit.interventions import padding_rule

    with padding_rule("noise", model=model, layers=[layer], generator=generator):
        return logits(images).argmax(1)


@check(
    question="Do predictions depend on what the padding holds?",
    statistic="share of predictions that change under replicate padding",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=False,
    remedy=f"{USE_REPLICATE} See padding.border_maximum for the layers that read the border.",
    reference=f"Garriga, Studying the characterisation of deep CNN neurons, 2019; {THESIS}",
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
    layers = padding_convolutions(observed_calls(target))
    if not layers:
        raise UnsupportedError("no convolution pads its input, so there is no padding to replace")
    images = context.sample("validation")[0]
    chosen = some(context, len(images), affordable(context, 125))
    images, before = images[chosen], context.predictions("validation")[chosen].argmax(1)
    few = images[: max(4, affordable(context, 100) // len(layers))]
    effects = noise_effects(target.model, target.logits, few, layers, context.torch_generator("screen"))
    worst = effects[0].layer
    after = replicate_predictions(target.logits, images, target.model)
    noisy = noise_predictions(target.logits, images, target.model, worst, context.torch_generator("noise"))
    flips = int((after != before).sum())
    row = ["this model", len(images), flips / len(images), float((noisy != before).double().mean())]
    untrained = _untrained_flips(target, context, images[: affordable(context, 24)], worst)
    beside = f" (in an untrained copy {untrained[2]:.1%} and {untrained[3]:.1%})" if untrained else ""
    return context.judge_share(
        flips,
        len(images),
        summary=f"{row[2]:.1%} of the predictions change when all padding repeats the nearest pixel, {row[3]:.1%} when "
        f"the padding of layer {worst} alone holds noise{beside}.",
        locations=[Location(effect.flips, layer=effect.layer) for effect in effects],
        evidence=_figures([row, *([untrained] if untrained else [])], effects, images, before, after, target.classes),
    )


def _untrained_flips(target: AuditTarget, context: CheckContext, images: torch.Tensor, layer: str) -> list[Any]:
    """The row of an untrained copy: its name, images, shares changed by replicate padding and by noise; or nothing."""
    from cnnaudit.models.untrained import untrained_twin

    model = untrained_twin(target.model, images.to(target.device), seed=context.seed)
    if model is None:
        return []
    logits = replace(target, model=model, _cache={}).logits
    before = logits(images).argmax(1)
    after = replicate_predictions(logits, images, model)
    noisy = noise_predictions(logits, images, model, layer, context.torch_generator("noise"))
    return ["untrained copy", len(images), *(float((p != before).double().mean()) for p in (after, noisy))]


def _figures(
    rows: Sequence[Sequence[Any]],
    effects: Sequence[LayerEffect],
    images: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    classes: Sequence[str],
) -> list[Evidence]:
    """The shares of changed predictions, the noise's effect by layer, and images whose prediction changed."""
    from cnnaudit.checks.padding._layer_figures import PICTURES, layer_bars, pictures

    columns = ["model", "images", "changed by replicate padding", "changed by noise in the worst layer"]
    changed = (after != before).nonzero().flatten()[:PICTURES]
    captions = [f"{classes[int(before[i])]}, then {classes[int(after[i])]}" for i in changed]
    return [
        evidence.table("Predictions that change with the padding", columns, rows),
        *layer_bars(
            "Changed by noise in one layer's padding, on a few images",
            [effect.layer for effect in effects],
            np.array([effect.flips for effect in effects]),
            "share of predictions",
        ),
        *pictures("Predictions that replicate padding changes", images[changed], captions),
    ]


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
