"""What `shortcut.place` and `shortcut.patch` share: images, what is constant in them, one budget of passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.checks import CheckContext
    from cnnaudit.cues import Patch, Prepared, Sample

#: The largest constancy that is nobody's tag, and nobody's watermark.
CONSTANCY = {"place": 0.25, "patch": 0.5}
#: Forward passes of both checks together, by profile.
PASSES = {"quick": 500, "standard": 4_000, "deep": 20_000}
#: A class that is constant at a place counts twice: honest classes are more often constant as a patch.
_WEIGHT = {"place": 2, "patch": 1}
#: Images of each split that are read for patches.
_MOST_PATCH = {"quick": 1_500, "standard": 6_000, "deep": 20_000}
#: A patch that so many carriers have at one place is the business of `shortcut.place`.
_FIXED = 0.9

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


@dataclass(frozen=True, eq=False)
class Share:
    """What a check works with: what is constant, and its forward passes."""

    prepared: Prepared
    passes: int


def share(context: CheckContext, name: str) -> Share:
    """What is constant at a place (`place`) or anywhere (`patch`), and the forward passes, shared by classes to search.

    Raises:
        UnsupportedError: images too small, or too few classes with images enough to compare.
    """
    found = context.remember(f"placed cues at {context.confidence}", lambda: _prepared(context))
    own = found[name]
    if isinstance(own, UnsupportedError):
        raise own
    counts = {cue: _WEIGHT[cue] * len(of.beyond()) for cue, of in found.items() if not isinstance(of, UnsupportedError)}
    part = counts[name] / max(sum(counts.values()), 1)
    return Share(own, int(part * PASSES[context.profile.name]))


def _prepared(context: CheckContext) -> dict[str, Prepared | UnsupportedError]:
    """What is constant, for both checks, or why that cannot be said."""
    from cnnaudit.cues import prepare_patches, prepare_windows

    found: dict[str, Prepared | UnsupportedError] = {}
    for name, prepare, most in (
        ("place", prepare_windows, None),
        ("patch", prepare_patches, _MOST_PATCH[context.profile.name]),
    ):
        rng = generator(context.seed, context.target.name, "placed cues", name)
        classes = len(context.target.classes)
        try:
            found[name] = prepare(*draw_samples(context, most), classes, CONSTANCY[name], rng, context.confidence)
        except UnsupportedError as reason:
            found[name] = reason
    places, patches = found["place"], found["patch"]
    if not isinstance(places, UnsupportedError) and not isinstance(patches, UnsupportedError):
        fixed = [k for k in patches.beyond() if k in places.beyond() and _stands_still(patches, k)]
        found["patch"] = replace(patches, cleared=dict.fromkeys(fixed, "at one place: see shortcut.place"))
    return found


def _stands_still(patches: Prepared, k: int) -> bool:
    """Whether the carriers of a class's patch have it at one place, within a pixel."""
    sample, candidate = patches.halves.confirm_recipients, patches.candidates[k]
    own = sample.part(np.flatnonzero(sample.labels == k)).images
    own = own[candidate.carriers(own)]
    if not len(own):
        return False
    patch: Patch = candidate.pattern  # type: ignore[assignment]
    places = patch.places(own).float()
    near = (places - places.median(dim=0).values).abs().amax(dim=1) <= 1
    return float(near.float().mean()) >= _FIXED
