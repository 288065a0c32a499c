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
from cnnaudit.checks.padding._shared import _MIND_THE_PAD, _affordable


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
