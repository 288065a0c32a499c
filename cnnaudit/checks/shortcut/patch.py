"""Does a small patch, wherever it stands, give a class away, and does the model go by it?

A watermark or a logo need not stand at the same place. The audit looks for patches of 5 x 5 pixels that a class shares
anywhere and no other class has (there), and puts them into other images and takes them out of their own (used).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.shortcut._plants import patch_plants
from cnnaudit.checks.shortcut._samples import CONSTANCY, share
from cnnaudit.checks.shortcut._verdict import finding
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from cnnaudit.cues import Found, Search


@check(
    question="Does a small patch, wherever it stands, give a class away, and does the model go by it?",
    statistic="predictions that follow a patch which one class has anywhere, the larger of gain and loss",
    unit="share of images",
    direction="at_most",
    tolerance=0.15,
    gate=True,
    remedy="Look at the marked patch for a watermark, a logo or a text that goes with the class, and remove it from "
    "all images, or spread it over all classes; then train again.",
    reference="Brendel and Bethge (2019), BagNet; Bykov et al. (2023), watermarks in ImageNet's carton",
    needs=("train", "validation"),
)
def patch(context: CheckContext) -> Finding:
    """How many images become a class when given a patch of 5 x 5 pixels that it shares anywhere, the worst class.

    There: P(an image shows the patch given the class) less the most of any other class, on images that did not find it.
    Used: the larger of gain and loss, as `shortcut.place` has them, with the patch put on the place that resembles it
    most. A class fails only where its constancy is beyond .50 and its use beyond the tolerance, each with its interval.
    A patch that stands at one place in a class that `shortcut.place` searches is left to that check.

    Measured with 600 forward passes: three networks (CIFAR-10) for which a watermark was worth .65 to 1.0 of recall
    failed, eight that had not learned theirs passed, one (.18) was inconclusive. Of 27 clean networks none failed and
    25 passed; patches that are honest content are constant up to .85 and lost in at most .05 of the images. The power
    on photographs is not measured.
    """
    from cnnaudit.checks.shortcut import _pictures
    from cnnaudit.cues import Model, confirm_patches

    target, own = context.target, share(context, "patch")
    model = Model(target.logits, own.passes - _pictures.PASSES, are_probabilities=False)
    search = confirm_patches(model, own.prepared, context.generator(), confidence=context.confidence)
    searched = [found for found in search.found.values() if found.cue is not None]
    hints = {found.class_index: _hint(found, target.classes) for found in searched}
    worst = max(searched, key=lambda found: found.use[1], default=None)
    return finding(context, search, CONSTANCY["patch"], "patch", hints, _shown(context, search, worst))


def _hint(found: Found, classes: tuple[str, ...]) -> str:
    """The class and the numbers in plain words."""
    name = classes[found.class_index]
    text = (
        f"The same patch of 5 x 5 pixels is somewhere in {found.constancy.share:.0%} of the images of class '{name}' "
        f"and at most {found.constancy.elsewhere:.0%} of another class; "
    )
    if found.effect is not None:
        text += f"giving it to other images turns {max(found.effect.share, 0):.0%} of them into '{name}'"
    return text + "."


def _shown(context: CheckContext, search: Search, worst: Found | None) -> list[Evidence]:
    """Pictures of the class whose patch is used most, and the patch."""
    import torch

    from cnnaudit.checks.shortcut import _pictures
    from cnnaudit.cues import Patch

    if worst is None or not isinstance(worst.cue, Patch):
        return []
    found = worst.cue

    def boxes(images: Tensor) -> Tensor:
        side = torch.full((len(images), 2), len(found.signs), dtype=torch.int64)
        return torch.cat([found.places(images), side], dim=1)

    classes = context.target.classes
    shown = _pictures.transplants(worst, search, context.target.logits, classes, boxes)
    title = f"The patch of class '{classes[worst.class_index]}': 1 is brighter than its mean, 0 darker"
    return [*shown, evidence.heat_map(title, found.signs.float().numpy(), label="sign")]


PLANTS = patch_plants()
POPULATIONS = ordinary(seeds=100)
