"""Does the model reach the accuracy that its file claims (or beat chance, where it claims none)?

A model that misses its own accuracy is not the model that was meant: wrong weights, wrong order of classes, wrong
images. Findings about it are worth little until that is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check, real
from cnnaudit.checks.behavior._sample import LISTED, labels_and_predictions
from cnnaudit.checks.behavior._wrapped_models import wrapped
from cnnaudit.checks.behavior.input import tinted
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.checks.small_targets import fitted_readout, on_validation, sampled
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator, needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

SIGNIFICANT = 0.001
NAMED = 20  # classes written out
# Without a claim: how much better than chance, in standard deviations of one guess, sqrt(c (1 - c)) at accuracy c. A
# model at chance among at most ten classes is told from it by 500, 2,000 and 8,000 images in a run of sixteen gates.
BETTER = {"quick": 0.2, "standard": 0.1, "deep": 0.05}


@dataclass(frozen=True, slots=True)
class ClassOrder:
    """The class that each logit stands for, and how many of `n` images are right before and after."""

    classes: tuple[str, ...]
    before: int
    after: int
    n: int

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in self.classes[:NAMED]) + (", ..." if len(self.classes) > NAMED else "")
        return f"With data.classes = [{names}], {self.after} of {self.n} images are right instead of {self.before}."


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How many images of each class (row) are predicted as each class (column), int (K, K).

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_order(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str], rng: np.random.Generator
) -> ClassOrder | None:
    """The order of classes that explains the predictions better than the given one, where one does so clearly.

    Half of the images choose the one-to-one matching of predicted with true classes that makes most of them right
    (linear assignment on their confusion matrix); the other half says how many it makes right, and whether that is
    significantly more (exact McNemar test), so that a chance matching of many classes is not taken for a finding.

    Returns:
        The class that each logit stands for, with the numbers on the second half; or None.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binom

    first = np.zeros(len(labels), dtype=bool)
    first[rng.permutation(len(labels))[: len(labels) // 2]] = True
    k = len(classes)
    counts = confusion(labels[first], predicted[first], k)
    # ties go to the given order
    order = linear_sum_assignment(counts.T + np.eye(k) / (2 * k), maximize=True)[1]
    before, after = labels[~first] == predicted[~first], labels[~first] == order[predicted[~first]]
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    if binom.sf(gained - 1, gained + lost, 0.5) > SIGNIFICANT:
        return None
    return ClassOrder(tuple(classes[i] for i in order), int(before.sum()), int(after.sum()), len(before))


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

    The tolerance is a policy, set so that a true claim of .95 is confirmed in 99 of 100 runs:
    (z(1 - .05 / 32) + z(.99)) sqrt(.95 .05 / n) for n = 500, 2,000 and 10,000; a true claim of .75 may need more
    images, and the finding says how many. Where nothing is claimed, the statistic is the accuracy less that of guesses
    with the same class frequencies, c = sum over k of p_k q_k (p_k the share of images, q_k of predictions), and must
    be at least .2, .1 or .05 (by profile) times sqrt(c (1 - c)). A model that does not pass is tried with another
    order of classes, and the hint names the one that explains it.
    """
    labels, predicted = labels_and_predictions(context)
    n, correct, k = len(labels), int((labels == predicted).sum()), len(context.target.classes)
    matrix = confusion(labels, predicted, k)
    low, high = proportion_interval(correct, n, context.confidence)
    claim = context.target.claims.accuracy
    if claim is None:
        chance = float((matrix.sum(0) / n) @ (matrix.sum(1) / n))
        above = replace(context.check, statistic="accuracy above chance", direction="at_least")
        context = replace(context, check=above, tolerance=BETTER[context.profile.name] * (chance * (1 - chance)) ** 0.5)
        statistic, interval = correct / n - chance, (low - chance, high - chance)
        bound, told = chance + context.tolerance, f"{chance:.3f} by chance, nothing claimed"
    else:
        statistic, interval = claim - correct / n, (claim - high, claim - low)
        bound, told = claim - context.tolerance, f"{claim:g} is claimed"
    order = None
    if context.verdict(interval) != "pass":
        order = class_order(labels, predicted, context.target.classes, context.generator("order"))
    return context.judge(
        statistic,
        interval,
        n=n,
        p_value=proportion_p_value(correct, n, min(max(bound, 0.0), 1.0), "at_least"),
        needed_n=needed_images(correct / n, bound, context.confidence),
        summary=f"{correct} of {n} images ({correct / n:.3f}) are classified correctly; {told}.",
        hint=str(order) if order else "",
        evidence=[_confusion(matrix, context.target.classes)],
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


def renamed(seed: int, shuffled: bool) -> AuditTarget:
    """Digits whose classes the file lists in another order than the model's logits, or in the right one."""
    from cnnaudit.target import Claims

    order = np.roll(np.arange(10), 1) if shuffled else np.arange(10)
    model = fitted_readout("digits", seed)
    return on_validation("digits", seed, wrapped(model, answer=lambda z: z[:, order]), claims=Claims(accuracy=0.9))


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


def guessing(seed: int, accuracy: float) -> AuditTarget:
    """Two classes, told apart by predictions that are right with a given chance; nothing is claimed."""
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "guesses")
    labels = rng.integers(2, size=500)
    predicted = np.where(rng.random(500) < accuracy, labels, 1 - labels)
    images = write_predictions(np.zeros((500, 1, 2, 2), dtype=np.float32), predicted, 2)
    return AuditTarget.from_arrays("guesses", reads_pixel(2), {"validation": (images, labels)}, ("a", "b"))


PLANTS = [
    Plant("classes in another order", partial(renamed, shuffled=True), partial(renamed, shuffled=False)),
    Plant("red and blue swapped", partial(tinted, mistake="BGR", accuracy=0.9), partial(tinted, accuracy=0.9)),
    Plant("inverted guesses", partial(guessing, accuracy=0.4), partial(guessing, accuracy=0.75)),
]


POPULATIONS = [
    *ordinary(seeds=300),
    *(
        Population(f"a true claim on {source}", partial(true_claim, source=source))
        for source in ("dataset 3.0", *real.names())
    ),
]
