"""Does a fixed place of the image give a class away, and does the model go by it?

A tag, a logo or a burnt-in text that stands in the images of one class is the easiest thing to learn. The audit looks
for pixels that a class shares at one place and no other class has (there), and puts them into other images and takes
them out of their own (used).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.shortcut._plants import place_plants
from cnnaudit.checks.shortcut._samples import CONSTANCY, share
from cnnaudit.checks.shortcut._verdict import finding
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from cnnaudit.cues import Found, Search


@check(
    question="Does a fixed place of the image give a class away, and does the model go by it?",
    statistic="predictions that follow a pattern which one class has at a fixed place, the larger of gain and loss",
    unit="share of images",
    direction="at_most",
    tolerance=0.05,
    gate=True,
    remedy="Look at the marked place for a tag, a logo, a text or a frame that goes with the class, and crop or mask "
    "it in all images, or spread it over all classes; then train again.",
    reference="Lapuschkin et al. (2019), Unmasking Clever Hans predictors; Zech et al. (2018), laterality markers",
    needs=("train", "validation"),
    replaces=("dataset.border_shortcut",),
)
def place(context: CheckContext) -> Finding:
    """How many predictions follow pixels that a class shares at one place, the worst class.

    There: constancy, P(an image shows the pattern given the class) less the most of any other class, on images that did
    not find it. Used: the larger of gain (images of other classes that become the class when given the window of an
    image that carries it, and only then) and loss (carriers that are no longer predicted as the class, however the
    pattern is taken away); see `cnnaudit.cues.given` and `removed`. A class fails only where its constancy is beyond
    .25 and its use beyond the tolerance, each with its interval. A class whose constancy is within its tolerance counts
    as 0. `shortcut.place` and `shortcut.patch` share 500 forward passes at quick, by the classes that need them.

    Measured on tags of 3 x 3 pixels in all or half of a class of ten (MNIST, Fashion-MNIST, CIFAR-10; 200 validation
    images a class, one seed each) while the check was built, on the same networks that its tolerance was chosen on: of
    11 for which the tag was worth .2 of its carriers' recall or more all 11 failed, with 420 forward passes and another
    control of the loss; the present one was asked of some of them only. A tag in half of a class that is not used stays
    inconclusive where fewer than about 130 validation images carry it. Of 21 clean networks on these data all passed
    (600 passes); of 7 on digits enlarged from 8 x 8 pixels 6 were inconclusive and 1 not applicable. A network that was
    never trained with a tag and answers to it nevertheless can fail. False alarms of unused tags are not measured.
    """
    from cnnaudit.checks.shortcut import _pictures
    from cnnaudit.cues import Model, confirm_windows

    target, own = context.target, share(context, "place")
    model = Model(target.logits, own.passes - _pictures.PASSES, are_probabilities=False)
    search = confirm_windows(model, own.prepared, context.generator(), confidence=context.confidence)
    searched = [found for found in search.found.values() if found.cue is not None]
    hints = {found.class_index: _hint(found, search, target.classes) for found in searched}
    worst = max(searched, key=lambda found: found.use[1], default=None)
    return finding(
        context, search, CONSTANCY["place"], "pattern at a fixed place", hints, _shown(context, search, worst)
    )


def _hint(found: Found, search: Search, classes: tuple[str, ...]) -> str:
    """The place, the class and the numbers in plain words."""
    from cnnaudit.cues import Pattern

    pattern = search.candidates[found.class_index].pattern
    assert isinstance(pattern, Pattern)
    top, left, bottom, right = pattern.box
    name = classes[found.class_index]
    text = (
        f"A pattern at {_span('row', top, bottom)}, {_span('column', left, right)} is in "
        f"{found.constancy.share:.0%} of class '{name}' and at most {found.constancy.elsewhere:.0%} of another class; "
    )
    if found.effect is not None:
        text += f"giving it to other images turns {max(found.effect.share, 0):.0%} of them into '{name}'"
    if found.removed is not None:
        joint = ", and " if found.effect is not None else ""
        text += f"{joint}without it {found.removed.share:.0%} of the images of '{name}' are no longer predicted as it"
    return text + "."


def _span(noun: str, first: int, last: int) -> str:
    """Rows or columns, counted from 1."""
    return f"{noun} {first + 1}" if first == last else f"{noun}s {first + 1} to {last + 1}"


def _shown(context: CheckContext, search: Search, worst: Found | None) -> list[Evidence]:
    """Pictures of the class whose pattern is used most, and where it is constant."""
    import torch

    from cnnaudit.checks.shortcut import _pictures
    from cnnaudit.cues import Pattern

    if worst is None:
        return []
    pattern = search.candidates[worst.class_index].pattern
    assert isinstance(pattern, Pattern) and search.maps is not None
    top, left, bottom, right = pattern.box

    def boxes(images: Tensor) -> Tensor:
        return torch.tensor([[top, left, bottom - top + 1, right - left + 1]]).expand(len(images), 4)

    classes = context.target.classes
    shown = _pictures.transplants(worst, search, context.target.logits, classes, boxes)
    title = f"Share of class '{classes[worst.class_index]}' with the same pixel content, less the most of another class"
    constant = evidence.heat_map(title, _limited(search.maps[worst.class_index]), label="share of images")
    return [*shown, *_pictures.places_tried(worst), constant]


def _limited(values: Tensor) -> np.ndarray:
    """A map of at most 56 x 56 cells, the largest value of each."""
    from torch.nn import functional

    size = [min(56, side) for side in values.shape]
    limited: np.ndarray = functional.adaptive_max_pool2d(values.float()[None, None], size)[0, 0].cpu().numpy()
    return limited


PLANTS = place_plants()
POPULATIONS = ordinary(seeds=100)
