"""Is the deconvnet's picture what its paper defines, and does it stand where the unit looks?

A deconvnet brings a unit's activation back to the pixels. The audit compares the picture with a slow computation of the
published definition, and asks whether it follows the image's content when that is moved.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.fidelity import _methods
from cnnaudit.checks.fidelity._digit_targets import digits_target, drawn
from cnnaudit.checks.fidelity._methods import LEAST, effort, interval
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import trained
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._evaluation_set import Subject
    from cnnaudit.target import AuditTarget

_EXACT = 1e-3


@check(
    question="Is the deconvnet's picture what its paper defines, and does it stand where the unit looks?",
    statistic="energy of the picture that lies where it should not",
    unit="share of the energy",
    direction="at_most",
    tolerance=0.3,
    gate=False,
    remedy="Do not read the deconvnet's pictures of this model as a place in the image; use occlusion or Grad-CAM to "
    "find where the network looks.",
    reference="Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv 1311.2901)",
    needs=("validation", "inside"),
)
def deconvnet(context: CheckContext) -> list[Finding]:
    """Energy (squared values, summed over channels) of the deconvnet's picture in the wrong place; two findings.

    `definition`: the largest of |picture - definition|^2 / |definition|^2, against explicit unpooling, rectification
    and transposed convolution (`_deconvolution.py`; chains of modules only), and of the share outside the
    unit's receptive field, for units in the first, middle and last rectified map. Arithmetic: at most .001, room for
    float32 alone.

    `evidence`: contents of images, half as long as the image, are put at random places on their own background; with o
    and i the mean energy outside and inside the content's box, o / (o + i), averaged over the 2 strongest units of the
    last rectified map and over images (bootstrap): 0 where the picture stands over the content alone, .5 where it knows
    nothing of its place. Tolerance: .3 is a picture more than twice as strong over the content as beside it; of
    ordinary networks half measure .03 or less, and 4 of 31 fail.
    """
    target = context.target
    from cnnaudit.checks.fidelity._deconvnet import rectified_maps

    subject = _methods.subject(context)
    layers = rectified_maps(target.model, subject.images)
    return [_definition(context.among(2), subject, layers), _evidence(context.among(2), subject, layers[-1])]


def _definition(context: CheckContext, subject: Subject, layers: list[str]) -> Finding:
    """Whether the pictures are those of the definition, and inside the receptive field."""
    from cnnaudit.checks.fidelity._deconvnet import against_definition, outside_receptive_field
    from cnnaudit.checks.fidelity.deconvnet_figures import difference_table

    model, images = subject.target.model, subject.images[:4]
    middle = sorted({0, len(layers) // 2, len(layers) - 1})
    found = outside_receptive_field(model, images[:1], [layers[i] for i in middle])
    reason = ""
    try:
        found = [*against_definition(model, images, subject.classes[:4]), *found]
    except UnsupportedError as error:
        reason = str(error)
    if not found:
        return context.not_applicable(reason, part="definition")
    worst = max(found, key=lambda item: item.share)
    compared = f"not compared with the definition: {reason}" if reason else "compared with the definition too"
    return replace(context, tolerance=min(context.tolerance, _EXACT)).judge(
        worst.share,
        (worst.share, worst.share),
        n=len(found),
        n_unit="pictures",
        part="definition",
        summary=f"At most {worst.share:.2g} of a picture's energy lies where it should not ({worst.what}"
        f"{f', layer {worst.layer}' if worst.layer else ''}; {compared}).",
        remedy="A layer of the model does not go back as it should, most often a ReLU or a pooling written as "
        "arithmetic: use nn.ReLU and nn.MaxPool2d, and see fidelity.integrity.",
        locations=[Location(item.share, layer=item.layer) for item in found if item.layer],
        evidence=[difference_table(found)],
    )


def _evidence(context: CheckContext, subject: Subject, layer: str) -> Finding:
    """Whether the pictures stand over the content, wherever it is."""
    from cnnaudit.checks.fidelity._deconvnet import pictures, strongest_units
    from cnnaudit.checks.fidelity._pointing_game import placed, spill
    from cnnaudit.checks.fidelity.deconvnet_figures import placed_pictures, placed_table

    target = subject.target
    stimuli = placed(subject.images[: max(LEAST, 3 * len(subject.images) // 5)].cpu(), context.generator("places"))
    if len(stimuli.images) < LEAST:
        return context.not_applicable(
            f"only {len(stimuli.images)} of the images show anything but their background",
            part="evidence",
        )
    images = stimuli.images.to(target.device)
    units = strongest_units(target.model, images, layer)
    maps = pictures(target.model, images, layer, units)
    shares = np.mean([spill(plane, stimuli.boxes) for plane in maps], axis=0)
    table = []
    if effort(context).methods is None:
        classes = target.logits(stimuli.images).argmax(1).to(target.device)
        table = [placed_table(target.model, images, classes, stimuli.boxes, float(shares.mean()))]
    return context.judge(
        float(shares.mean()),
        interval(context, len(shares), lambda rows: float(shares[rows].mean()), (0, 1), "evidence"),
        n=len(shares),
        part="evidence",
        summary=f"Pictures of the strongest units of layer {layer} are {_ratio(shares.mean())} as strong outside the "
        "image's content as over it, wherever the content stands.",
        locations=[
            Location(float(spill(plane, stimuli.boxes).mean()), layer=layer, unit=u) for u, plane in zip(units, maps)
        ],
        evidence=[*table, placed_pictures(images, maps[0], shares)],
    )


def _ratio(share: float) -> str:
    """o / (o + i) as o / i in words."""
    return f"{share / max(1 - share, 1e-9):.2f} times"


def chained(seed: int, relu: bool = True, pool: bool = True) -> AuditTarget:
    """A chain of modules whose last ReLU or pooling is a module of its own, right going forward and wrong going back.

    `x * (x > 0)` goes back as the gradient where the deconvnet rectifies; `maximum` shares what comes back
    among equal values, where a pooling has one switch.
    """
    import torch
    from torch import nn

    class Rectification(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (x > 0)

    class Pooling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
            return torch.maximum(rows[..., ::2], rows[..., 1::2])

    last = nn.ReLU() if relu else Rectification()
    pooling = nn.MaxPool2d(2) if pool else Pooling()
    features = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), pooling, nn.Conv2d(6, 8, 3), last
    return digits_target("a chain of modules", drawn(nn.Sequential(*features, nn.Flatten(), nn.Linear(1152, 10)), seed))


def background_units(seed: int, background: bool) -> AuditTarget:
    """Units that answer to the black background and fall silent over the digits, or the other way round."""
    import torch
    from torch import nn

    network = drawn(nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4704, 10)), seed)
    convolution = network.get_submodule("0")
    with torch.no_grad():
        weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
        weight.copy_(weight.abs() * (-1 if background else 1))
        bias.fill_(1.0 if background else 0.0)
    return digits_target("answers to the background" if background else "answers to the digits", network)


PLANTS = [
    Plant("a ReLU that does not rectify back", partial(chained, relu=False), chained, part="definition"),
    Plant("a pooling without switches", partial(chained, pool=False), chained, part="definition"),
    Plant(
        "units that answer to the background",
        partial(background_units, background=True),
        partial(background_units, background=False),
        part="evidence",
    ),
]


POPULATIONS = [
    *ordinary(seeds=100),
    Population("the minimum model of dataset 3.0", partial(trained, padding_mode="replicate"), 6, part="definition"),
]
