"""Do predictions hold when the image is shifted by a pixel or two?

Strided layers and pooling that skip pixels make the answer depend on where exactly the camera stood. Nobody claims that
it does, so this is described, not accused; a claim of `translation_pixels` is tested by behavior.invariance.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.behavior._sample import LISTED, image_names, sampled_images
from cnnaudit.checks.behavior.invariance import vary
from cnnaudit.checks.populations import ordinary
from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

REACH = 2  # pixels
PASSES = 100  # images at quick


@check(
    question="Do predictions hold when the image is shifted by a pixel or two?",
    statistic="predictions that change under a shift of one or two pixels",
    unit="share of images",
    direction="at_most",
    tolerance=0.5,
    gate=False,
    remedy="Blur before each stride (anti-aliased pooling), train with shifted or cropped images, or average the "
    "predictions of a few shifts.",
    reference="Zhang, Making convolutional networks shift-invariant again, 2019",
    needs=("validation",),
)
def shift_consistency(context: CheckContext) -> Finding:
    """Share of images whose class changes when they are shifted once by one or two whole pixels, at random.

    What comes into view is the image mirrored at its edge. The interval is exact (Clopper and Pearson). At quick 100
    images are asked, from standard on every one.

    Tolerance: of 100 ordinary networks one in a hundred shows more than .45; MobileNetV2 on photographs changes 4 of
    100, a model of every fourth pixel two thirds.
    """
    from cnnaudit.checks.behavior._before_and_after import pairs
    from cnnaudit.checks.behavior._perturbations import VARIATIONS

    images, _ = sampled_images(context)
    target, before = context.target, context.predictions("validation").argmax(1)
    most = PASSES if context.profile.name == "quick" else len(images)
    rows = np.sort(context.generator("images").permutation(len(images))[:most])
    shifts = context.torch_generator("shifts")
    found = vary(target.logits, images[rows], before[rows], VARIATIONS["translation"], REACH, shifts, target.batch_size)
    moved = (found.predicted != before[rows]).nonzero().flatten().numpy()
    shown = moved[: len(found.changed)]
    captions = [(target.classes[before[rows[k]]], target.classes[found.predicted[k]]) for k in shown]
    return context.judge_share(
        len(moved),
        len(rows),
        summary=f"{len(moved)} of {len(rows)} predictions change when images are shifted by one or two pixels.",
        locations=[Location(1.0, image=name) for name in image_names(context, rows[moved[:LISTED]])],
        evidence=[
            evidence.bars(
                "Change by a shift", found.bands(before[rows]), label="share that changes, by pixels", tolerance=None
            ),
            *pairs("Predictions that change", images[rows[shown]], found.changed, captions),
        ],
    )


def strided(seed: int, blur: float) -> AuditTarget:
    """Fine texture on soft clouds, and a linear model of every fourth pixel along both axes, blurred by so many pixels.

    The labels are its answers, so that it is always right on images that nobody shifts.
    """
    import torch
    from torch import nn

    from cnnaudit.corruptions.filters import gaussian_blur
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "texture")
    clouds = gaussian_blur(torch.from_numpy(rng.normal(size=(500, 1, 32, 32))), 6.0).numpy()
    texture = rng.uniform(-0.25, 0.25, clouds.shape)
    images = np.clip(0.5 + 0.05 * clouds / clouds.std() + texture, 0, 1).astype(np.float32)
    weights = torch.from_numpy(rng.normal(size=(64, 5))).float()

    class Strided(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen = gaussian_blur(images, blur) - 0.5
            return seen[:, :, 2::4, 2::4].flatten(1) @ weights.to(seen)

    labels = Strided()(torch.from_numpy(images)).argmax(1).numpy()
    return AuditTarget.from_arrays("texture", Strided(), {"validation": (images, labels)}, tuple("abcde"))


PLANTS = [
    Plant(name, partial(strided, blur=blur), partial(strided, blur=4.0))
    for name, blur in (("every fourth pixel", 0.0), ("every fourth pixel, hardly blurred", 0.4))
]
POPULATIONS = [*ordinary(seeds=100)]
