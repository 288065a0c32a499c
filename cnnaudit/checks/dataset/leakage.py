"""Do validation images stand in the training set?"""

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
from cnnaudit.checks.dataset._classes import _THESIS, _locations
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._clean_targets import (
    _DIGITS,
    _SCALED,
    _digits,
    _target,
    figures,
    plain_digits,
    some_digits,
    some_photographs,
)


@check(
    question="Do validation images stand in the training set?",
    statistic="share of validation images with a copy in training, in the worst class",
    unit="share of images",
    direction="at_most",
    tolerance=0.01,
    gate=True,
    remedy="Remove the copies from one of the splits, and split by what images have in common (patient, scene, day) "
    "before any augmentation. Until then the validation accuracy measures memory.",
    reference=f"{_THESIS}; Barz and Denzler (2020), Do we train on test data?",
    needs=("train", "validation"),
)
def leakage(context: CheckContext) -> Finding:
    """Share of validation images that also stand in the training split, exactly or nearly, in the worst class.

    Exact and near copies as defined in `cnnaudit.checks.dataset._leakage_copies.find_twins`. Both splits are looked through whole,
    so the share is a count without sampling error; only where a split is larger than the profile's `megapixels` it is
    an estimate from a stratified sample, (copies found) / (n * share of training looked at), with an exact binomial
    interval whose error is divided by the number of classes.

    Tolerance: clean data have none (99 % point 0; all of MNIST .0009 in its worst class), so the bound is a policy: one
    image in a hundred, below which copies cannot move the accuracy by more than a point.
    """
    target = context.target
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._leakage_copies import copy_shares, find_twins
    from cnnaudit.checks.scan import scan

    validation, train = (scan(target, s, context.profile.megapixels, context.seed) for s in ("validation", "train"))
    if not len(validation.labels) or not len(train.labels):
        raise UnsupportedError("looking for copies needs images in data.train and in data.validation")
    twins = find_twins(validation, train)
    found = copy_shares(twins, validation, train, context.confidence)
    names = [target.classes[k] for k in found.classes]
    worst = int(found.share.argmax())
    partly = "" if train.share == 1 else f" ({train.share:.0%} of the training images were looked at)"
    return context.judge(
        float(found.share.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(validation.labels),
        summary=f"{found.exact.sum() + found.near.sum()} of {found.n.sum()} validation images have a copy among the "
        f"training images ({found.exact.sum()} exact), {found.share.max():.1%} in class '{names[worst]}'{partly}.",
        locations=_locations(names, found.share, worst, found.low > context.tolerance),
        evidence=pictures.of_twins(target, validation, train, twins, found),
    )


def leaking_digits(seed: int, share: float = 0.02, altered: bool = False) -> AuditTarget:
    """Digits: that share of each class's validation images also stands in training, as it is or altered."""
    splits = _digits(seed)
    rng = generator("planted", seed, "leak")
    images, labels = splits["validation"]
    chosen = [
        rng.permutation(np.nonzero(labels == k)[0])[: int(np.ceil(share * (labels == k).sum()))] for k in range(10)
    ]
    rows = np.concatenate(chosen)
    copies = images[rows]
    if altered:
        copies = np.clip(0.85 * copies[..., ::-1] + rng.normal(0, 0.01, copies.shape), 0, 1).astype(np.float32)
    train, known = splits["train"]
    splits["train"] = (np.concatenate([train, copies]), np.concatenate([known, labels[rows]]))
    return _target("leaking digits", splits, _DIGITS)


PLANTS = [
    Plant("2 % of the validation images copied into training", leaking_digits, plain_digits),
    Plant("5 % copied, mirrored, darker and noisy", partial(leaking_digits, share=0.05, altered=True), plain_digits),
    Plant(
        "scaled figures without noise (dataset 1.3)",
        partial(figures, transformation="scaling", noise=0, inverted=False),
        _SCALED,
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
