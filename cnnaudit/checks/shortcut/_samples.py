"""The images that the checks of `shortcut` work on, drawn once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnaudit.checks import CheckContext
    from cnnaudit.cues import Sample

#: Pixel values that a profile reads of each split: 5,461 images of 3 x 32 x 32 at quick, never fewer than `_LEAST`.
_VALUES = {"quick": 2**24, "standard": 2**26, "deep": 2**28}
_LEAST = {"quick": 500, "standard": 1_000, "deep": 4_000}
_MOST = {"quick": 6_000, "standard": 20_000, "deep": 100_000}


def draw_samples(context: CheckContext, most: int | None = None) -> tuple[Sample, Sample]:
    """Stratified samples of training and validation images in [0, 1], with their labels.

    What a class shares is counted without asking the model, so that more images are read than a profile's sample has:
    of both splits up to 6,000 small images at quick, and 500 photographs; at most `most`.
    """
    from cnnaudit.cues import Sample

    target, profile = context.target, context.profile.name
    values = target.input.channels * target.input.size[0] * target.input.size[1]
    n = min(_MOST[profile], max(_LEAST[profile], _VALUES[profile] // values))
    n = n if most is None else min(n, most)
    train, validation = (target.sample(split, n, context.seed) for split in ("train", "validation"))
    return Sample(train[0], train[1].numpy()), Sample(validation[0], validation[1].numpy())
