"""Can a class be read from the outer ring of the image alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from cnnaudit.checks.dataset._shared import _locations


@check(
    question="Can a class be read from the outer ring of the image alone?",
    statistic="one-against-rest AUC of the outer ring, for the class that it gives away most",
    unit="AUC",
    direction="at_most",
    tolerance=0.96,
    gate=True,
    remedy="Look at the rings for a tag, frame, ruler or background that goes with the class, and crop or mask it in "
    "all images, or spread it over all classes.",
    reference="Lapuschkin et al. (2019), Unmasking Clever Hans predictors; Zech et al. (2018), laterality markers",
    needs=("train", "validation"),
)
def border_shortcut(context: CheckContext) -> Finding:
    """AUC with which the outer ring (a sixteenth of the image on each side) tells a class from the rest; worst class.

    A tree of 4 leaves on mean and spread of the ring's 60 cells, fitted to the training sample and asked of the
    validation sample: `cnnaudit.checks.dataset._ring.ring_scores`.

    Natural borders carry some signal (sky around airplanes .76, MNIST .82). Tolerance: 99 % point of clean data, .954,
    reached where digits are enlarged until they touch the border, rounded up to .96.
    """
    target = context.target
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._ring import FEWEST, MOST, ring_cells, ring_scores
    from cnnaudit.checks.dataset._scan import few, scan

    train, validation = (
        few(scan(target, s, context.profile.megapixels, context.seed), MOST) for s in ("train", "validation")
    )
    cells = [(ring_cells(seen.thumbnails), seen.labels) for seen in (train, validation)]
    found = ring_scores(cells[0], cells[1], context.confidence, context.generator())
    if not len(found.classes):
        raise UnsupportedError(f"asking the border needs two classes, one with at least {FEWEST} images in each split")
    names = [target.classes[k] for k in found.classes]
    worst = int(found.auc.argmax())
    return context.judge(
        float(found.auc.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(train.labels) + len(validation.labels),
        summary=f"The outer ring alone tells class '{names[worst]}' from the others with an AUC of "
        f"{found.auc.max():.3f} (0.5 is chance, 1 is certain).",
        locations=_locations(names, found.auc, worst, found.low > context.tolerance),
        evidence=pictures.of_rings(validation, found, target.classes, context.tolerance),
    )
