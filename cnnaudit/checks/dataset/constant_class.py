"""Does a class consist of (nearly) one image?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.dataset._shared import _THESIS, _locations
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._plants import (
    _DIGITS,
    _ROTATED,
    Splits,
    _digits,
    _target,
    figures,
    plain_digits,
    some_digits,
    some_photographs,
)


@check(
    question="Does a class consist of (nearly) one image?",
    statistic="spread of the class that varies least, over the other classes' spread",
    unit="ratio",
    direction="at_least",
    tolerance=0.3,
    gate=True,
    remedy="Collect or generate images of this class that vary as the others do (noise, position, size, lighting). A "
    "model recognizes a constant class by any constant of it, so its accuracy there means nothing.",
    reference=f"{_THESIS}, dataset 2.1",
)
def constant_class(context: CheckContext) -> Finding:
    """The smallest class spread in random 3x3-filter features, relative to the other classes.

    s_k = sqrt(mean |x - m_k|^2) over the images of class k, x the largest responses of 32 random 3x3 filters in a 4 x 4
    grid, divided by the median of the other classes' s; the least over the classes, with the interval of
    `cnnaudit.checks.dataset._spread.class_spreads`. All of the training split is looked at (else the validation split).

    Tolerance: the least spread of clean classes is .62 (1 % point of digits, MNIST, CIFAR-10 and figures, classes drawn
    at random); half of it, rounded down, .3. A class of one image with noise of .02 lies at .18.
    """
    target = context.target
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._scan import scan
    from cnnaudit.checks.dataset._spread import FEWEST, class_spreads

    split = "train" if "train" in target.splits else "validation"
    seen = scan(target, split, context.profile.megapixels, context.seed)
    found = class_spreads(seen.thumbnails, seen.labels, context.confidence)
    if len(found.classes) < 2:
        raise UnsupportedError(
            f"comparing classes needs two with at least {FEWEST} images in data.{split}, found {len(found.classes)}"
        )
    names, kind = [target.classes[k] for k in found.classes], "training" if split == "train" else split
    worst = int(found.ratio.argmin())
    return context.judge(
        float(found.ratio.min()),
        (float(found.low.min()), float(found.high.min())),
        n=int(found.n.sum()),
        summary=f"The {kind} images of class '{names[worst]}' differ from each other {found.ratio.min():.2f} times as "
        "much as those of other classes do.",
        locations=_locations(names, found.ratio, worst, found.high < context.tolerance),
        evidence=pictures.of_spreads(target, split, seen, found, context.tolerance),
    )


def one_image_class(seed: int, deviation: float = 0.02) -> AuditTarget:
    """Digits in which one class is the same image with a little noise."""
    splits = _digits(seed)
    victim = seed % 10
    changed: Splits = {}
    for split, (images, labels) in splits.items():
        rng = generator("planted", seed, "noise", split)
        copies = splits["train"][0][splits["train"][1] == victim][:1].repeat(int((labels == victim).sum()), axis=0)
        altered = images.copy()
        altered[labels == victim] = np.clip(copies + rng.normal(0, deviation, copies.shape), 0, 1)
        changed[split] = (altered, labels)
    return _target("one image as a class", changed, _DIGITS)


PLANTS = [
    Plant("one digit is one image with a little noise", one_image_class, plain_digits),
    Plant(
        "rotated circles without noise (dataset 2.1)",
        partial(figures, transformation="rotation", noise=0, inverted=False),
        _ROTATED,
    ),
]


POPULATIONS = [
    Population("digits, random classes", some_digits, 20),
    Population(
        "scaled figures with noise (3.0)", partial(figures, transformation="scaling", noise=20, inverted=True), 20
    ),
    Population(
        "rotated figures with noise (4.0)", partial(figures, transformation="rotation", noise=20, inverted=True), 20
    ),
    *(
        (
            Population("mnist, random classes", partial(some_photographs, name="mnist"), 20),
            Population("cifar10, random classes", partial(some_photographs, name="cifar10"), 20),
        )
        if real.available()
        else ()
    ),
]
