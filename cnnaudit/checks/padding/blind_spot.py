"""Does padding make the model miss content at some positions?

Strided layers that read more padding on one side than on the other weigh the borders of an image unevenly, and zeros
beyond the border are edges that the image does not have; both can hide content there. A model trained on centered
images misses content at the border as well, so the same model with other padding is the control.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.padding._layer_calls import observed_calls, padding_convolutions
from cnnaudit.checks.padding._sample import affordable
from cnnaudit.checks.padding._small_networks import draw_weights, fit_last_layer, set_parameters
from cnnaudit.checks.padding._sources import MIND_THE_PAD, USE_REPLICATE
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import on_images
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.padding._blind_spot_search import Version
    from cnnaudit.checks.padding._moved_content import Size, Stimulus
    from cnnaudit.target import AuditTarget


@check(
    question="Does padding make the model miss content at some positions?",
    statistic="accuracy at the worst position that other padding gives back",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=lambda target: bool(target.claims.translation_pixels),
    remedy="Choose an input size at which padding is applied evenly (see padding.uneven_application), or pad with the "
    "nearest pixel instead of zeros, and train again.",
    reference=MIND_THE_PAD,
    needs=("validation", "inside"),
)
def blind_spot(context: CheckContext) -> Finding:
    """Content that the model misses at its worst position, and with other padding recognizes even at the worst.

    The content of some images is put on its background at 5 x 5 positions, and asked of the model and of its controls:
    the same weights with replicate padding; and on images of the nearest size at which every layer pads evenly, where
    there is one (an average over maps of another size may do worse, which accuses nobody). The worst position of each
    is searched, and fresh images are asked there (see `find_blind_spot`). The statistic is (recognized elsewhere,
    missed at the worst position, recognized by the control at its own worst position - recognized at the worst
    position, missed by the control at its own) / images, so what the control misses as well, as a model trained on
    centered images does, counts for nothing. The interval is `paired_drop_interval`; p is an exact sign test. Without a
    claim the positions span the image; with `claims.translation_pixels` no more than what it promises, see `grid_for`.
    Whether predictions survive a shift at all is asked by behavior.invariance.
    """
    from cnnaudit.checks.padding._blind_spot_search import Version, find_blind_spot
    from cnnaudit.checks.padding._moved_content import grid_for
    from cnnaudit.checks.padding.blind_spot_figures import figures

    target = context.target
    context.predictions("validation")  # refuses a model that answers NaN
    places = affordable(context, 100) // 25
    stimuli = _stimuli(context, max(4, places) + affordable(context, 125))
    controls = _controls(context, stimuli)
    grid = grid_for(stimuli, target.input.size, target.claims.translation_pixels)
    searched = min(max(4, places), len(stimuli) // 4)
    model = Version("own padding", target.logits, target.input.size)
    spot = find_blind_spot(model, controls, stimuli, grid, searched=searched, rng=context.generator("places"))
    here, other, control = spot.accuracies()
    return context.judge(
        spot.cost,
        spot.interval(context.confidence),
        n=len(spot.truth),
        p_value=spot.p_value,
        summary=f"Moved {grid.words(spot.position)}, where it does worst, {here:.1%} of the images' contents are "
        f"recognized, {other:.1%} {spot.elsewhere}; with {spot.control.padding}, the worst position has {control:.1%}.",
        remedy=USE_REPLICATE
        if spot.control.size == target.input.size
        else f"Use images of {by(spot.control.size)} pixels (input.size in the audit file), at which every layer pads "
        "evenly, and train or fine-tune at that size.",
        evidence=figures(spot, stimuli[searched:], grid, target.input.size, target.classes),
    )


def _controls(context: CheckContext, stimuli: Sequence[Stimulus]) -> list[Version]:
    """The model with replicate padding, and at a size at which its strided layers pad evenly; refused without any."""
    from cnnaudit.checks.padding._blind_spot_search import Version
    from cnnaudit.checks.padding._even_padding import applications, even_size
    from cnnaudit.interventions import padding_rule

    target = context.target
    observed, found = observed_calls(target), []

    def replicated(images: torch.Tensor) -> torch.Tensor:
        with padding_rule("replicate", model=target.model):
            return target.logits(images)

    if padding_convolutions(observed):
        found.append(Version("replicate padding", replicated, target.input.size))
    if not all(layer.even for layer in applications(observed)):
        shape = (target.input.channels, *target.input.size)
        even = even_size(target.model, shape, most=affordable(context, 64))
        if even and all(min(even) > max(stimulus.pixels.shape[-2:]) for stimulus in stimuli):
            found.append(Version(f"even padding (images of {by(even)} pixels)", target.logits, even))
    if not found:
        raise UnsupportedError(
            "no convolution pads its input, and at no size nearby is padding more even: there is no other padding "
            "to compare with"
        )
    return found


def by(size: Size) -> str:
    """33 x 33."""
    return f"{size[0]} x {size[1]}"


def _stimuli(context: CheckContext, most: int) -> list[Stimulus]:
    """The contents of images of the sample, in random order, at most that many."""
    from cnnaudit.checks.padding._moved_content import stimulus_of

    images, labels = context.sample("validation")
    order = context.generator("images").permutation(len(images))
    claim = context.target.claims.translation_pixels
    found = (stimulus_of(images[i], int(labels[i]), claim) for i in order)
    stimuli = list(itertools.islice((stimulus for stimulus in found if stimulus is not None), most))
    if len(stimuli) < 8:
        raise UnsupportedError(f"only {len(stimuli)} of {len(images)} images show anything but their background")
    return stimuli


def brightness_sum(seed: int, size: int) -> AuditTarget:
    """Reads whether a spot is faint or bright from its brightness, summed by three strided [1 2 1] convolutions.

    With even padding (33 pixels) every pixel has the same weight in the sum, exactly; with uneven padding (32) the
    weights fall to an eighth over the last 8 pixels, and bright spots there are read as faint.
    """
    import torch
    from torch import nn

    class Sum(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.sum((-2, -1))

    kernel = torch.tensor([1.0, 2.0, 1.0]) / 2
    sums, linear = [nn.Conv2d(1, 1, 3, 2, 1, bias=False) for _ in range(3)], nn.Linear(1, 2)
    network = nn.Sequential(*sums, Sum(), linear)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 500)
    images = np.zeros((500, 1, size, size), dtype=np.float32)
    for image, label, (top, left) in zip(images, labels, rng.integers(0, 32 - 5 + 1, (500, 2))):
        image[0, top : top + 5, left : left + 5] = rng.normal((0.45, 0.9)[label], 0.03)
    for layer in sums:
        set_parameters(layer, (kernel[:, None] * kernel)[None, None])
    set_parameters(linear, torch.tensor([[-1.0], [1.0]]), torch.tensor([1.0, -1.0]) * 25 * 0.675)
    return on_images(f"brightness sum at {size}", network, (images.clip(0, 1), labels), ("faint", "bright"))


def steady_digits(seed: int, size: int = 33) -> AuditTarget:
    """Digits anywhere in the image, read by random filters with smooth strides and a linear layer fitted by ridge.

    Reaches .95. At 33 pixels the padding of its strides is even and the accuracy the same everywhere; at 32 it is some
    .07 lower at the right border.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits

    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    filters = [nn.Conv2d(before, after, 3, padding=1) for before, after in ((1, 24), (24, 64), (64, 128))]
    strides = [nn.Conv2d(n, n, 3, 2, 1, groups=n, bias=False) for n in (24, 64, 128)]
    layers = [layer for pair in zip(filters, strides) for layer in (pair[0], nn.ReLU(), pair[1])]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    draw_weights(network, torch.Generator().manual_seed(seed))
    for stride in strides:
        set_parameters(stride, (kernel[:, None] * kernel).expand_as(stride.weight))
    train, validation = digits("train", seed), digits("validation", seed)
    rng = np.random.default_rng(seed)
    scattered = np.concatenate([_scattered(train.images, size, rng) for _ in range(3)])
    fit_last_layer(network, torch.from_numpy(scattered), np.tile(train.labels, 3))
    split = (_scattered(validation.images, size, rng), validation.labels)
    return on_images(f"scattered digits at {size}", network, split, train.classes)


def _scattered(images: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The digits at 16 x 16 pixels, each anywhere on a black image of `size`."""
    import torch
    from torch.nn import functional

    inner = torch.from_numpy(images[:, :, 2:26, 2:26])
    small = functional.interpolate(inner, size=16, mode="bilinear", antialias=True).numpy()
    canvas = np.zeros((len(images), 1, size, size), dtype=np.float32)
    for image, digit, (top, left) in zip(canvas, small, rng.integers(0, size - 16 + 1, (len(images), 2))):
        image[:, top : top + 16, left : left + 16] = digit
    return canvas.clip(0, 1)


PLANTS = [
    Plant(
        "three strides whose padding is uneven at 32 pixels",
        partial(brightness_sum, size=32),
        partial(brightness_sum, size=33),
    ),
]


POPULATIONS = [
    *ordinary(seeds=300),
    Population("digits anywhere, even and smooth strides", steady_digits, 20),
]
