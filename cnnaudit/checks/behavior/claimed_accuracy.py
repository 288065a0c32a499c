"""Does the model reach the accuracy that its file claims (or beat chance, where it claims none)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks.behavior._shared import LISTED, _answers, _images
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.behavior._plants import _REAL, _after
from cnnaudit.checks.small_targets import fitted_readout, on_validation, sampled

DIAGNOSED = 100  # images on which an explanation is tried


@check(
    question="Does the model reach the accuracy that its file claims (or beat chance, where it claims none)?",
    statistic="accuracy below the claim",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.05, "standard": 0.025, "deep": 0.0125},
    gate=True,
    remedy="Compare the file's preprocessing with the training code (input.order, .scale, .mean, .std, .resize) and "
    "data.classes with the order of the logits; findings about a model that is fed wrongly mean little.",
    reference="Clopper and Pearson, The use of confidence or fiducial limits, 1934",
    needs=("validation",),
)
def claimed_accuracy(context: CheckContext) -> Finding:
    """Claimed accuracy less the accuracy on the validation images, with its exact binomial interval.

    Where nothing is claimed: the accuracy of guesses with the same class frequencies, sum over k of p_k q_k (p_k the
    share of images, q_k of predictions), less the accuracy, to be at most 0. The tolerance is a policy, set so that a
    true claim of .95 is confirmed in 99 of 100 runs: (z(1 - .05 / 32) + z(.99)) sqrt(.95 .05 / n) for n = 500, 2,000
    and 10,000; a true claim of .75 may need more images, and the finding says how many. A model that does not pass is
    tried with reversed channels, another scale, exchanged polarity and another order of classes, and the remedy names
    what explains it.
    """
    target = context.target
    from cnnaudit.checks.behavior._diagnosis import confusion

    labels, predicted = _answers(context)
    n, correct, k = len(labels), int((labels == predicted).sum()), len(target.classes)
    claim = target.claims.accuracy
    matrix = confusion(labels, predicted, k)
    wanted = float((matrix.sum(0) / n) @ (matrix.sum(1) / n)) if claim is None else claim
    context = context if claim is not None else replace(context, tolerance=0.0)
    low, high = proportion_interval(correct, n, context.confidence)
    interval = (wanted - high, wanted - low)
    bound = wanted - context.tolerance
    return context.judge(
        wanted - correct / n,
        interval,
        n=n,
        p_value=proportion_p_value(correct, n, max(bound, 0.0), "at_least"),
        needed_n=needed_images(correct / n, bound, context.confidence),
        summary=f"{correct} of {n} images ({correct / n:.3f}) are classified correctly; "
        + (f"{wanted:.3f} by chance, nothing claimed." if claim is None else f"{wanted:g} is claimed."),
        remedy=context.check.remedy + ("" if context.verdict(interval) == "pass" else _explanation(target, context)),
        evidence=[_confusion(matrix, target.classes)],
    )


def _confusion(matrix: np.ndarray, classes: Sequence[str]) -> Evidence:
    """The whole confusion matrix of few classes, the most frequent confusions of many."""
    if len(classes) <= LISTED:
        return evidence.heat_map("Confusion", matrix, label="images", rows="true class", columns="predicted class")
    wrong = matrix - np.diag(np.diag(matrix))
    most = np.argsort(-wrong, axis=None, kind="stable")[: min(LISTED, int((wrong > 0).sum()))]
    pairs = [(int(row), int(column)) for row, column in zip(*np.unravel_index(most, wrong.shape), strict=True)]
    rows = [(classes[i], classes[j], int(matrix[i, j]), int(matrix[i].sum())) for i, j in pairs]
    return evidence.table("Most frequent confusions", ("class", "predicted as", "images", "of"), rows)


def _explanation(target: AuditTarget, context: CheckContext) -> str:
    """A sentence on what would make the model more accurate, where one of the usual mistakes does."""
    from cnnaudit.checks.behavior._diagnosis import class_order, input_mistake

    images, labels = _images(context)
    predicted = context.predictions("validation").argmax(1)
    some = context.generator("mistakes").permutation(len(images))[:DIAGNOSED]
    tried = (
        class_order(labels.numpy(), predicted.numpy(), target.classes, context.generator("order")),
        input_mistake(target.logits, images[some], labels[some], predicted[some]),
    )
    best = max((mistake for mistake in tried if mistake), key=lambda mistake: mistake.share, default=None)
    return f" With {best.what}, {best.after} of {best.n} images are right instead of {best.before}." if best else ""


def renamed(seed: int, shuffled: bool) -> AuditTarget:
    """Digits whose classes the file lists in another order than the model's logits, or in the right one."""
    from cnnaudit.target import Claims

    order = np.roll(np.arange(10), 1) if shuffled else np.arange(10)
    model = fitted_readout("digits", seed)
    return on_validation("digits", seed, _before(model, lambda z: z[:, order]), claims=Claims(accuracy=0.9))


def tinted(seed: int, swapped: bool) -> AuditTarget:
    """Digits in warm ink below five, in cold ink above; the file has red and blue the wrong or the right way round."""
    from cnnaudit.target import AuditTarget, Claims

    splits = {}
    for split in ("train", "validation"):
        images, labels, classes = sampled("digits", split, seed)
        warm = generator("planted", seed, "ink", split).uniform(0.6, 1, len(labels)).astype(np.float32)
        ink = np.stack((warm, np.full_like(warm, 0.5), 1 - warm), 1)
        ink = np.where(labels[:, None] < 5, ink, ink[:, ::-1])
        splits[split] = (images * ink[:, :, None, None], labels)
    right = readout(*splits["train"], 10)
    model = _after(lambda x: x.flip(1), right) if swapped else right
    return AuditTarget.from_arrays("tinted digits", model, splits, classes, claims=Claims(accuracy=0.9))


def true_claim(seed: int, source: str) -> AuditTarget:
    """A model that claims the accuracy it has on 2,000 other images."""
    import torch

    from cnnaudit.target import Claims

    images, labels, _ = sampled(source, "other", seed)
    model = fitted_readout(source, seed)
    with torch.no_grad():
        right = [model(part).argmax(1) for part in torch.split(torch.from_numpy(images), 200)]
    return on_validation(
        source, seed, model, claims=Claims(accuracy=float((torch.cat(right).numpy() == labels).mean()))
    )


def _before(model: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """The model with its answers changed."""
    from torch import nn

    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return change(self.model(images))

    return Before()


PLANTS = [
    Plant("classes in another order", partial(renamed, shuffled=True), partial(renamed, shuffled=False)),
    Plant("red and blue swapped", partial(tinted, swapped=True), partial(tinted, swapped=False)),
]


POPULATIONS = [
    *(
        Population(f"a true claim on {source}", partial(true_claim, source=source))
        for source in ("dataset 3.0", *_REAL)
    ),
]
