"""Is the padding of every strided layer applied on both sides alike?

At many input sizes a strided layer reads padding before the image and none after it, so the last rows and columns count
for less than the first. It is arithmetic on the layers' sizes; `padding.blind_spot` measures what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.padding._layer_calls import observed_calls
from cnnaudit.checks.padding._sample import affordable
from cnnaudit.checks.padding._small_networks import draw_weights, on_digits, resnet_geometry
from cnnaudit.checks.padding._sources import MIND_THE_PAD
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    from cnnaudit.checks.padding._even_padding import Application
    from cnnaudit.target import AuditTarget

SHOWN = 20  # layers in the table


@check(
    question="Is the padding of every strided layer applied on both sides alike?",
    statistic="layers that apply their padding unevenly",
    unit="layers",
    direction="at_most",
    tolerance=0,
    gate=False,
    remedy="Choose an input size at which every strided layer uses up its padding on both sides.",
    reference=MIND_THE_PAD,
    needs=("inside",),
    exact=True,
)
def uneven_application(context: CheckContext) -> Finding:
    """Strided (or asymmetrically padded) convolutions and poolings that read more padding on one side than the other.

    A layer is even where, along both axes, left padding = right padding = right padding that its last window reads,
    which is (h + p_left + p_right - d (k - 1) - 1) mod s = 0; see `_even_padding`. Poolings count, as
    in the source (ResNet at 224: the first convolution, the max pooling and three more convolutions, 5 of 5). Layers
    without padding that leave out the last rows are crops: shown, not counted. The tolerance is 0: it is arithmetic.
    """
    from cnnaudit.checks.padding._even_padding import applications, even_size

    target = context.target
    layers = applications(observed_calls(target))
    if not layers:
        raise UnsupportedError("no convolution or pooling strides, so every layer applies its padding evenly")
    shape = (target.input.channels, *target.input.size)
    padded = [layer for layer in layers if layer.padded]
    uneven = [layer for layer in padded if not layer.even]
    crops = sum(layer.cropped > 0 for layer in layers)
    even = even_size(target.model, shape, most=affordable(context, 64)) if uneven else None
    at = f"at {_by(target.input.size)} pixels"
    summary = (
        f"{len(uneven)} of {len(padded)} strided layers with padding read more of it on one side than on the other {at}"
        if padded
        else f"No strided layer pads its input {at} ({len(layers)} layer{'s' * (len(layers) > 1)})"
    )
    summary += f"; at {_by(even)} none would" if even else ""
    summary += f"; {crops} without padding leave{'s' * (crops == 1)} out the last row or column" if crops else ""
    remedy = (
        f"Use images of {_by(even)} pixels (input.size in the audit file) and train or fine-tune at that size."
        if even
        else "No input size nearby is even and accepted by the model: pad both sides alike, or change stride or kernel."
    )
    return context.judge(
        len(uneven),
        (len(uneven), len(uneven)),
        n=len(padded),
        n_unit="layers",
        summary=f"{summary}.",
        remedy=remedy if uneven else None,
        locations=[Location(layer.imbalance, layer=layer.layer) for layer in uneven],
        evidence=[_table(layers)],
    )


def _table(layers: Sequence[Application]) -> Evidence:
    """Every strided layer with its padding and what becomes of it, uneven ones first."""
    order = sorted(layers, key=lambda layer: (layer.even, layer.cropped == 0))
    rows = []
    for layer in order[:SHOWN]:
        tall, wide = layer.axes
        verdict = "uneven" if not layer.even else "even" if layer.padded else "crop" if layer.cropped else "no padding"
        given = f"{tall.before}/{tall.after}, {wide.before}/{wide.after}"
        read = f"{tall.before}/{tall.reach}, {wide.before}/{wide.reach}"
        cell = [layer.layer, layer.kind, _by(layer.kernel), _by(layer.stride), _by((tall.size, wide.size)), given, read]
        rows.append([*cell, verdict])
    columns = ["layer", "kind", "kernel", "stride", "input", "padding (top/bottom, left/right)", "read", "verdict"]
    return evidence.table("Padding of the strided layers (read -1: the last row or column is left out)", columns, rows)


def _by(size: tuple[int, int]) -> str:
    """225 x 225."""
    return f"{size[0]} x {size[1]}"


def same_padding(seed: int, symmetric: bool) -> AuditTarget:
    """A strided convolution whose 'same' padding puts its one pixel right and below, or one pixel on each side."""
    import torch
    from torch import nn

    pad = nn.ZeroPad2d(1) if symmetric else nn.ZeroPad2d((0, 1, 0, 1))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    network = nn.Sequential(pad, nn.Conv2d(1, 8, 3, 2), nn.ReLU(), *head)
    draw_weights(network, torch.Generator().manual_seed(seed))
    return on_digits("same padding", network, 33 if symmetric else 32)


PLANTS = [
    Plant(
        "the strided layers of a ResNet at 64 pixels",
        partial(resnet_geometry, size=64),
        partial(resnet_geometry, size=65),
    ),
    Plant(
        "'same' padding on the right and below only",
        partial(same_padding, symmetric=False),
        partial(same_padding, symmetric=True),
    ),
]


POPULATIONS = [
    Population("the strided layers of a ResNet at 97 pixels", partial(resnet_geometry, size=97), 20),
]
