"""Can one pixel change the predicted class?

A model that takes the maximum of a whole image can be turned by one extreme pixel. A search with a fixed budget looks
for such a pixel in each image; the share of images where it finds one is a lower bound.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.behavior._sample import LISTED, THESIS, image_names, sampled_images
from cnnaudit.checks.small_targets import plain
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_PHOTO = 224 * 224

# by profile: images; pixels evaluated per image in all; at most so many tries
SEARCHES = {"quick": (50, 8 * _PHOTO, 64), "standard": (200, 16 * _PHOTO, 128), "deep": (1000, 64 * _PHOTO, 512)}


@check(
    question="Can one pixel change the predicted class?",
    statistic="images whose class one pixel flips",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.25, "standard": 0.2, "deep": 0.15},
    gate=False,
    remedy="Give the model less to gain from a single pixel: pool by averages where it pools by the maximum of the "
    "whole image, and train with noise and with small parts erased.",
    reference=f"{THESIS}; Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks, 2019",
    needs=("validation",),
)
def single_pixel(context: CheckContext) -> Finding:
    """Share of images whose predicted class changes when one pixel is set to black, white or another extreme color.

    The search of `cnnaudit.optimization.single_pixel` has a fixed budget per image and profile: quick 50 images and 64
    pixels each (8 at 224 x 224), standard 200 and 128 (16), deep 1,000 and 512 (64). The share is a lower bound: more
    tries find more. Exact binomial interval over images. The tolerance adds to what 99 % of ordinary LeNets on digits
    and MNIST show (.12) the half interval of so many images.
    """
    from cnnaudit.checks.behavior._before_and_after import flips
    from cnnaudit.optimization import single_pixel

    target = context.target
    images, _ = sampled_images(context)
    count, pixels, most = SEARCHES[context.profile.name]
    chosen = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    searched = images[chosen]
    tries = max(1, min(most, pixels // (images.shape[2] * images.shape[3])))
    before = context.predictions("validation").argmax(1)[chosen]
    random = context.torch_generator("search")
    found = single_pixel.search(target.logits, target.model, searched, before, tries, random, target.device)
    names = image_names(context, chosen)
    return context.judge_share(
        len(found.flips),
        len(searched),
        summary=f"One changed pixel flips the class of {len(found.flips)} of {len(searched)} images "
        f"({found.tries} pixels tried of each, {'most where the gradient points' if found.guided else 'at random'}).",
        locations=[Location(1.0, pixel=f.pixel, image=names[f.image]) for f in found.flips[:LISTED]],
        evidence=flips(searched, found.flips, target.classes),
    )


def one_pixel(seed: int, pooling: Literal["max", "average"]) -> AuditTarget:
    """Dark, gray and bright squares, told apart by the 16 parameters of the minimum model from their maximum or mean.

    Either model is right everywhere, but one white pixel is the maximum of an image, and a 784th of its mean.
    """
    import torch

    from cnnaudit.models import minimum
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "squares")
    labels, levels, side = np.arange(300) % 3, np.array([0.2, 0.5, 0.8]), 12
    images = np.zeros((300, 1, 28, 28), dtype=np.float32)
    for image, level in zip(images, levels[labels] + rng.uniform(-0.05, 0.05, 300), strict=True):
        top, left = rng.integers(28 - side, size=2)
        image[0, top : top + side, left : left + side] = level
    model = minimum(pooling=pooling)
    share = 1.0 if pooling == "max" else side**2 / 28**2  # of the level that the feature shows
    centers = torch.tensor(levels, dtype=torch.float32)
    weights = {
        "conv.weight": torch.eye(9)[4].view(1, 1, 3, 3),
        "conv.bias": torch.zeros(1),
        "output.weight": centers[:, None] / share,  # the nearest level: z_k = c_k f - c_k**2 / 2
        "output.bias": -(centers**2) / 2,
    }
    model.load_state_dict(weights)
    classes = ("dark", "gray", "bright")
    return AuditTarget.from_arrays("squares", model, {"validation": (images, labels)}, classes)


PLANTS = [
    Plant(
        "one maximum of the whole image, against its mean",
        partial(one_pixel, pooling="max"),
        partial(one_pixel, pooling="average"),
    ),
]


POPULATIONS = [
    *(
        Population(f"LeNets on {source}", partial(plain, source=source, trained=True))
        for source in ("digits", "figures", *real.names()[:1])
    ),
]
