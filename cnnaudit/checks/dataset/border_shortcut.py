"""Can a class be read from the outer ring of the image alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import real
from cnnaudit.checks.dataset._classes import _locations

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._clean_targets import (
    _DIGITS,
    Splits,
    _digits,
    _photographs,
    _target,
    figures,
    some_digits,
    some_photographs,
)


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
    from cnnaudit.checks.scan import few, scan

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


def all_photographs(seed: int, name: str) -> AuditTarget:
    """MNIST or CIFAR-10, all ten classes."""
    return _target(name, _photographs(seed, name), _DIGITS)


def tagged(seed: int, every_class: bool, source: str = "digits") -> AuditTarget:
    """Images with a bright tag in a corner: in one class, or in all of them."""
    splits = _digits(seed) if source == "digits" else _photographs(seed, source)
    marked: Splits = {}
    for split, (images, labels) in splits.items():
        altered = images.copy()
        altered[(labels == seed % 10) | every_class, :, -3:, -3:] = 0.9
        marked[split] = (altered, labels)
    return _target("tagged images", marked, _DIGITS)


def filled(seed: int, source: str = "digits") -> AuditTarget:
    """Digits enlarged until the strokes touch the border: a hard case, where the border belongs to the object."""
    import torch
    from torch.nn import functional

    splits = _digits(seed) if source == "digits" else _photographs(seed, source)
    enlarged: Splits = {}
    for split, (images, labels) in splits.items():
        boxes = []
        for image in torch.from_numpy(images):
            rows, columns = (torch.nonzero((image[0] > 0.2).any(dim=axis))[:, 0] for axis in (1, 0))
            box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            height, width = box.shape[1:]
            missing = (max(height, width) - width, max(height, width) - height)
            square = functional.pad(
                box, [missing[0] // 2, missing[0] - missing[0] // 2, missing[1] // 2, missing[1] - missing[1] // 2]
            )
            boxes.append(functional.interpolate(square[None], size=images.shape[2:], mode="bilinear")[0])
        enlarged[split] = (torch.stack(boxes).clamp(0, 1).numpy(), labels)
    return _target("digits up to the border", enlarged, _DIGITS)


PLANTS = [
    Plant("a tag in the corner of one class", partial(tagged, every_class=False), partial(tagged, every_class=True)),
]


POPULATIONS = [
    Population("digits, random classes", some_digits, 20),
    Population(
        "scaled figures with noise (3.0)", partial(figures, transformation="scaling", noise=20, inverted=True), 20
    ),
    Population("digits up to the border", filled, 20),
    *(
        (
            Population("mnist, random classes", partial(some_photographs, name="mnist"), 20),
            Population("cifar10, random classes", partial(some_photographs, name="cifar10"), 20),
            Population("mnist, ten classes", partial(all_photographs, name="mnist"), 20),
            Population("cifar10, ten classes", partial(all_photographs, name="cifar10"), 20),
            Population("mnist, a tag in every class", partial(tagged, every_class=True, source="mnist"), 20),
            Population("cifar10, a tag in every class", partial(tagged, every_class=True, source="cifar10"), 20),
            Population("mnist up to the border", partial(filled, source="mnist"), 20),
        )
        if real.available()
        else ()
    ),
]
