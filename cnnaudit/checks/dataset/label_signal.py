"""Can the label be predicted from the image at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from cnnaudit.checks.dataset._probes import Probe
    from cnnaudit.target import AuditTarget
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import real
from cnnaudit.checks.dataset._shared import _labels
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._plants import (
    _DIGITS,
    _digits,
    _target,
    figures,
    plain_digits,
    some_digits,
    some_photographs,
)


@check(
    question="Can the label be predicted from the image at all?",
    statistic="balanced accuracy above chance, of a simple probe or the model, whichever is better",
    unit="0: chance, 1: perfect",
    direction="at_least",
    tolerance=0.1,
    gate=True,
    remedy="Check how labels were joined to images (file order, a shifted column, shuffled names), and look at images "
    "with their labels. If they are right, the image may not hold the answer.",
    reference="von Burg (2017), Debugging deep neural networks; Ojala and Garriga (2010), Permutation tests",
)
def label_signal(context: CheckContext) -> Finding:
    """Balanced accuracy above chance of a simple probe, cross-validated, or of the model where that is better.

    The probe is kernel ridge regression on random-filter features of as many training images as the profile samples
    (else of validation images), in 5 folds: `cnnaudit.checks.dataset._probes`. Its p-value comes from permuting the labels.
    Where the probe is too simple (hundreds of classes, fine detail), a model that is right on validation images shows
    the signal just as well. Intervals are Bayesian bootstraps over images; a pass may rest on either of the two, so the
    low bounds get half of the error each, a fail needs both.

    Tolerance: 99 % point of shuffled digits, .04, and .05 that the interval of 500 images in ten classes needs around
    it, rounded up: .1. Real data lie above .36.
    """
    target = context.target
    from cnnaudit.core.statistics import balanced as scores
    from cnnaudit.core.statistics import permutation_p_value

    rng, p_value, shown = context.generator(), None, []
    asked: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    probe = _probe(target, context)
    if probe is not None:
        asked["a simple probe"] = (probe.predicted, probe.labels)
        observed = scores.balanced_score(probe.predicted, probe.labels)
        p_value = permutation_p_value(observed, probe.null)
        label = "balanced accuracy above chance"
        null = evidence.null_distribution("The probe on shuffled labels", probe.null[:1000], observed, label=label)
        shown.append(null)
    if "validation" in target.splits and len(np.unique(context.sample("validation")[1])) > 1:
        asked["the model"] = (
            context.predictions("validation").argmax(1).numpy(),
            _labels(context.sample("validation"), "validation"),
        )
    if not asked:
        raise UnsupportedError("predicting the label needs images of two classes, at least 5 of each")
    points = {who: scores.balanced_score(*answers) for who, answers in asked.items()}
    low_at, high_at = context.among(len(asked)).confidence, context.confidence
    bounds = [
        (scores.balanced_interval(*answers, low_at, rng)[0], scores.balanced_interval(*answers, high_at, rng)[1])
        for answers in asked.values()
    ]
    rows = [[who, f"{points[who]:.3f}", f"{low:.3f} to {high:.3f}"] for who, (low, high) in zip(asked, bounds)]
    shown.append(evidence.table("Who predicts the label (0: chance, 1: perfect)", ["", "reached", "interval"], rows))
    return context.judge(
        max(points.values()),
        (max(low for low, _ in bounds), max(high for _, high in bounds)),
        n=max(len(labels) for _, labels in asked.values()),
        p_value=p_value,
        summary="From the image alone, "
        + " and ".join(f"{who} comes {point:.0%}" for who, point in points.items())
        + " of the way from chance to perfect labels.",
        evidence=shown,
    )


def _probe(target: AuditTarget, context: CheckContext) -> Probe | None:
    """The probe on training images (else validation images), at most 2,000; None where it cannot be asked."""
    from cnnaudit.checks.dataset._filters import filter_features
    from cnnaudit.checks.dataset._probes import MOST, ask_probe
    from cnnaudit.checks.dataset._scan import few, scan

    split = "train" if "train" in target.splits else "validation"
    whole = scan(target, split, context.profile.megapixels, context.seed)
    seen = few(whole, min(context.profile.images or MOST, MOST))
    if min(seen.thumbnails.shape[2:]) < 3 or len(np.unique(seen.labels)) < 2:
        return None
    return ask_probe(filter_features(seen.thumbnails), seen.labels, context.resamples, context.generator("probe"))


def shuffled_digits(seed: int) -> AuditTarget:
    """Digits whose labels were shuffled, in both splits."""
    rng = generator("planted", seed, "shuffle")
    splits = {split: (images, rng.permutation(labels)) for split, (images, labels) in _digits(seed).items()}
    return _target("shuffled digits", splits, _DIGITS)


PLANTS = [
    Plant("shuffled labels", shuffled_digits, plain_digits),
]


POPULATIONS = [
    Population("digits, random classes", some_digits, 20),
    Population(
        "scaled figures with noise (3.0)", partial(figures, transformation="scaling", noise=20, inverted=True), 20
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
