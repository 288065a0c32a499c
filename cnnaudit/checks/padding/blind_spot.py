"""Is content recognized wherever it stands in the image?"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from cnnaudit.checks.padding._blind_spot import Stimulus
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.padding._shared import _MIND_THE_PAD, _affordable

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.padding._plants import _draw, _fit_last_layer, _set
from cnnaudit.checks.small_targets import _target


@check(
    question="Is content recognized wherever it stands in the image?",
    statistic="accuracy lost at the worst position",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=lambda target: bool(target.claims.translation_pixels),
    remedy="Choose an input size at which padding is applied evenly (see padding.uneven_application), pad with the "
    "nearest pixel instead of zeros, and train with shifted images.",
    reference=_MIND_THE_PAD,
    needs=("validation",),
)
def blind_spot(context: CheckContext) -> Finding:
    """Accuracy on the images' own content, moved about, at other positions less that at the worst.

    The content of some images is put on its background at 5 x 5 positions; the position where the true class is least
    probable is then asked of fresh images, each beside another position (see `find_blind_spot`). The statistic is
    (recognized only elsewhere - recognized only there) / images; on fresh images the search adds no bias. Its interval
    is `paired_drop_interval`; the p-value is the search's max-statistic permutation over positions. Without a claim the
    positions span the image; with `claims.translation_pixels` no more than what it promises, see `grid_for`.
    Tolerance: the 99 % point of the clean populations is .047 (digits anywhere, even strides), and the interval of 375
    images reaches .05 beyond: .1.
    """
    target = context.target
    from cnnaudit.checks.padding._blind_spot import GRID, find_blind_spot, grid_for
    from cnnaudit.checks.padding._figures import blind_spot_figures

    searched, measured = max(4, _affordable(context, 100) // GRID**2), _affordable(context, 125)
    stimuli, size = _stimuli(context, searched + measured), target.input.size
    grid = grid_for(stimuli, size, target.claims.translation_pixels)
    searched = min(searched, len(stimuli) // 4)
    spot = find_blind_spot(target.logits, stimuli, size, grid, searched=searched, rng=context.generator("places"))
    null = spot.scan.null(context.resamples, context.generator("permutation"))
    worst, other = (float(np.mean(read == spot.truth)) for read in (spot.worst, spot.other))
    where = "elsewhere" if spot.everywhere else grid.words(spot.scan.best)
    return context.judge(
        spot.drop,
        spot.interval(context.confidence),
        n=len(spot.truth),
        p_value=spot.scan.p_value(null),
        summary=f"Of the images' contents, moved about, {worst:.1%} are recognized {grid.words(spot.scan.worst)}, "
        f"{other:.1%} {where}.",
        evidence=blind_spot_figures(spot, null, stimuli[searched:], grid, size, target.classes),
    )


def _stimuli(context: CheckContext, most: int) -> list[Stimulus]:
    """The contents of images of the sample, in random order, at most that many."""
    from cnnaudit.checks.padding._blind_spot import stimulus_of

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

    kernel = torch.tensor([1.0, 2.0, 1.0]) / 2
    sums, linear = [nn.Conv2d(1, 1, 3, 2, 1, bias=False) for _ in range(3)], nn.Linear(1, 2)
    network = nn.Sequential(*sums, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 500)
    images = np.zeros((500, 1, size, size), dtype=np.float32)
    for image, label, (top, left) in zip(images, labels, rng.integers(0, 32 - 5 + 1, (500, 2))):
        image[0, top : top + 5, left : left + 5] = rng.normal((0.45, 0.9)[label], 0.03)
    cells = (-(-size // 8)) ** 2
    for layer in sums:
        _set(layer, (kernel[:, None] * kernel)[None, None])
    _set(linear, torch.tensor([[-1.0], [1.0]]) * cells, torch.tensor([1.0, -1.0]) * 25 * 0.675)
    return _target(f"brightness sum at {size}", network, (images.clip(0, 1), labels), ("faint", "bright"))


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
    _draw(network, torch.Generator().manual_seed(seed))
    for stride in strides:
        _set(stride, (kernel[:, None] * kernel).expand_as(stride.weight))
    train, validation = digits("train", seed), digits("validation", seed)
    rng = np.random.default_rng(seed)
    scattered = np.concatenate([_scattered(train.images, size, rng) for _ in range(3)])
    _fit_last_layer(network, torch.from_numpy(scattered), np.tile(train.labels, 3))
    split = (_scattered(validation.images, size, rng), validation.labels)
    return _target(f"scattered digits at {size}", network, split, train.classes)


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
    Population("digits anywhere, even and smooth strides", steady_digits, 20),
]
