"""Do validation images stand in the training set?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    pass
from cnnaudit.checks.dataset._shared import _THESIS, _locations


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

    Exact and near copies as defined in `cnnaudit.checks.dataset._duplicates.find_twins`. Both splits are looked through whole,
    so the share is a count without sampling error; only where a split is larger than the profile's `megapixels` it is
    an estimate from a stratified sample, (copies found) / (n * share of training looked at), with an exact binomial
    interval whose error is divided by the number of classes.

    Tolerance: clean data have none (99 % point 0; all of MNIST .0009 in its worst class), so the bound is a policy: one
    image in a hundred, below which copies cannot move the accuracy by more than a point.
    """
    target = context.target
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._duplicates import copy_shares, find_twins
    from cnnaudit.checks.dataset._scan import scan

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
