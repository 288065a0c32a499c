"""Can one pixel change the predicted class?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    pass
from cnnaudit.checks.behavior._shared import _THESIS, LISTED, _images, _names

# behavior.single_pixel by profile: images; pixels evaluated per image in all; at most so many tries
_PHOTO = 224 * 224


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
    reference=f"{_THESIS}; Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks, 2019",
    needs=("validation",),
)
def single_pixel(context: CheckContext) -> Finding:
    """Share of images whose predicted class changes when one pixel is set to black, white or another extreme color.

    The search of `cnnaudit.optimization.single_pixel` has a fixed budget per image and profile: quick 50 images and 64
    pixels each (8 at 224 x 224), standard 200 and 128 (16), deep 1,000 and 512 (64). The share is a lower bound: more
    tries find more. Exact binomial interval over images. The tolerance adds to what 99 % of ordinary LeNets on digits
    and MNIST show (.12) the half interval of so many images.
    """
    target = context.target
    from cnnaudit.checks.behavior import _pictures as pictures
    from cnnaudit.optimization import single_pixel

    images, _ = _images(context)
    count, pixels, most = SEARCHES[context.profile.name]
    chosen = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    searched = images[chosen]
    tries = max(1, min(most, pixels // (images.shape[2] * images.shape[3])))
    before = context.predictions("validation").argmax(1)[chosen]
    random = context.torch_generator("search")
    found = single_pixel.search(target.logits, target.model, searched, before, tries, random, target.device)
    names = _names(target, context, chosen)
    return context.judge_share(
        len(found.flips),
        len(searched),
        summary=f"One changed pixel flips the class of {len(found.flips)} of {len(searched)} images "
        f"({found.tries} pixels tried of each, {'most where the gradient points' if found.guided else 'at random'}).",
        locations=[Location(1.0, pixel=f.pixel, image=names[f.image]) for f in found.flips[:LISTED]],
        evidence=pictures.flips(searched, found.flips, target.classes),
    )
