"""What a method costs, which methods a profile asks and on how many images."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from cnnaudit.checks.fidelity._attribution_maps import quiet
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.profiles import PROFILES

Counts: TypeAlias = "dict[str, int]"
Reasons: TypeAlias = "dict[str, str]"

QUICK = PROFILES["quick"].images or 0
_STANDIN = 64
SMALL = 64  # pixels: up to this size every profile asks every method
FIRST = ("gradient", "grad_cam")  # what `quick` asks on larger images: the first map and the first per class
LOOKS = (8, 16)  # images after which it judges, until decided
BACKWARD = 3  # a pass with gradients costs about three without


@functools.cache
def passes(name: str, channels: int, size: tuple[int, int]) -> int:
    """Forward passes of one image that a method of `METHODS` makes per image, those with gradients counted threefold.

    Counted on a tiny network that stands in for the user's, on images of at most 64 pixels (no count grows with them).

    Raises:
        UnsupportedError: from the method, where a package that it needs is missing.

    Example:
        >>> passes("gradient", 1, (28, 28))
        3
    """
    from cnnaudit.attribution.methods import METHODS

    if METHODS[name].needs_attention:
        return 4  # two passes of the images and two of the first; the network below has no attention
    count = 0

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal count
        count += len(inputs[0]) * (BACKWARD if torch.is_grad_enabled() else 1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(channels, 2, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
        standin = nn.Sequential(*layers).eval()
    standin.register_forward_pre_hook(note)
    image = torch.rand(1, channels, *(min(side, _STANDIN) for side in size), generator=torch.Generator().manual_seed(0))
    quiet(name, standin, image, torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(0))
    return max(1, count)


LEAST = 8  # images that a judgement needs
LIME_SAMPLES = 1000  # what `lime` draws where nothing else is said


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a profile spends on images of a size.

    Attributes:
        methods: which are asked, in this order; None: all.
        looks: numbers of images after which a method is judged until it is decided; None: once, on all it can afford.
        images: whose maps are judged, at most.
        networks: random networks, at most; one for each of the first images.
        passes: forward passes of an image that one method may make, all images together; None: any number.
        calibration: images that a random network's batch statistics are measured on.
        staged: images whose maps in half-random networks are shown.
    """

    images: int
    networks: int
    passes: int | None
    methods: tuple[str, ...] | None = None
    looks: tuple[int, ...] | None = None
    calibration: int = 8
    staged: int = 4

    def of(self, cost: int) -> int:
        """How many images a method of that many passes an image is judged on; 0 where it costs too much."""
        if self.passes is None:
            return max(LEAST, min(self.images, 20_000 // cost))
        count = min(self.images, self.passes // cost)
        return count if count >= LEAST else 0

    @property
    def lime_images(self) -> int:
        """Images that LIME is asked of three times; 0 where that costs too much."""
        count = 12 if self.passes is None else min(12, self.passes // LIME_SAMPLES)
        return count if count >= LEAST else 0


def effort_of(size: tuple[int, int], images: int | None) -> Effort:
    """The effort for images of `size`, in a profile of that many images: 500, 2,000 or None for all.

    A method may cost what 150 passes of an image of 224 x 224 cost, on smaller images as much: at quick, gradients are
    judged on 96 images of 28 x 28 and LIME with its 200 passes an image on 47 of them. On images of more than 64 pixels
    quick asks the methods of `FIRST` alone, on 8 images and, where that leaves the verdict open, on 16: at most
    300 passes for deletion and 180 for randomization. `standard` and `deep` ask all methods.
    """
    if images is not None and images <= QUICK and max(size) > SMALL:
        return Effort(LOOKS[-1], LEAST, 150, FIRST, LOOKS, calibration=4, staged=0)
    factor = 20 if images is None else max(1, images // 500)
    ratio = 224 * 224 / (size[0] * size[1])
    count = max(LEAST, int(min(96 * factor, 16 * factor * ratio)))
    return Effort(count, max(LEAST, min(16, count // 2)), None if images is None else int(150 * factor * ratio))


def affordable(methods: Iterable[str], effort: Effort, channels: int, size: tuple[int, int]) -> tuple[Counts, Reasons]:
    """How many images each method is judged on, and why the others are not."""
    counts: Counts = {}
    reasons: Reasons = {}
    for name in methods:
        if effort.methods is not None and name not in effort.methods:
            reasons[name] = (
                f"not asked: on images of {size[0]} x {size[1]} the quick profile asks {' and '.join(effort.methods)} "
                "only; run with --profile standard"
            )
            continue
        try:
            cost = passes(name, channels, size)
        except UnsupportedError as reason:
            reasons[name] = str(reason)
            continue
        if count := effort.of(cost):
            counts[name] = count
        else:
            reasons[name] = (
                f"{cost} passes for each image of {size[0]} x {size[1]} are more than this profile spends; run "
                "with --profile standard or deep"
            )
    return counts, reasons
