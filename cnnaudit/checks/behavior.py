"""Does the model answer as it promises: rightly, steadily, and alike for everybody?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.checks.registry import Trial, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import derive_seed, needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.behavior._perturbations import Variation
    from cnnaudit.target import AuditTarget

LISTED = 20  # classes, groups or locations in a finding
REPEATED = 64  # images asked again
DIAGNOSED = 100  # images on which an explanation is tried
# behavior.single_pixel by profile: images; pixels evaluated per image in all; at most so many tries
_PHOTO = 224 * 224
SEARCHES = {"quick": (50, 8 * _PHOTO, 64), "standard": (200, 16 * _PHOTO, 128), "deep": (1000, 64 * _PHOTO, 512)}
_THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"


@check(
    "behavior.single_pixel",
    question="Can one pixel change the predicted class?",
    statistic="images whose class one pixel flips",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.25, "standard": 0.2, "deep": 0.15},
    gate=False,
    remedy="Give the model less to gain from a single pixel: pool by averages where it pools by the maximum of the "
    "whole image, and train with noise and with small parts erased.",
    reference=f"{_THESIS}; Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks, 2019",
    needs=("validation",),
)
def check_single_pixel(target: AuditTarget, trial: Trial) -> Finding:
    """Share of images whose predicted class changes when one pixel is set to black, white or another extreme color.

    The search of `cnnaudit.optimization.single_pixel` has a fixed budget per image and profile: quick 50 images and 64
    pixels each (8 at 224 x 224), standard 200 and 128 (16), deep 1,000 and 512 (64). The share is a lower bound: more
    tries find more. Exact binomial interval over images. The tolerance adds to what 99 % of ordinary LeNets on digits
    and MNIST show (.12) the half interval of so many images.
    """
    from cnnaudit.checks.behavior import _pictures as pictures
    from cnnaudit.optimization import single_pixel

    images, _ = _images(trial)
    count, pixels, most = SEARCHES[trial.profile.name]
    chosen = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    searched = images[chosen]
    tries = max(1, min(most, pixels // (images.shape[2] * images.shape[3])))
    before = trial.predictions("validation").argmax(1)[chosen]
    random = trial.torch_generator("search")
    found = single_pixel.search(target.logits, target.model, searched, before, tries, random, target.device)
    names = _names(target, trial, chosen)
    return trial.judge_share(
        len(found.flips),
        len(searched),
        summary=f"One changed pixel flips the class of {len(found.flips)} of {len(searched)} images "
        f"({found.tries} pixels tried of each, {'most where the gradient points' if found.guided else 'at random'}).",
        locations=[Location(1.0, pixel=f.pixel, image=names[f.image]) for f in found.flips[:LISTED]],
        evidence=pictures.flips(searched, found.flips, target.classes),
    )


@check(
    "behavior.invariance",
    question="Do predictions hold under the changes that the target's file claims they do not mind?",
    statistic="predictions that change",
    unit="share of images",
    direction="at_most",
    tolerance=0.15,
    gate=True,
    remedy="Train with this change (augmentation over the whole claimed range), or lower the claim.",
    reference=_THESIS,
    needs=("validation",),
)
def check_invariance(target: AuditTarget, trial: Trial) -> list[Finding]:
    """For each claim (rotation, translation, scale, polarity, noise): share of predictions that change.

    Every image is changed once, by a random amount from the upper half of the claimed range, either way (see
    `cnnaudit.checks.behavior._perturbations`), and the share of images whose predicted class differs from that of the
    unchanged image has an exact binomial interval. The confidence is divided among the claims. The tolerance adds to
    what 99 % of LeNets trained with the change show (.10 on MNIST, where uncertain images change most easily) the
    half interval of 500 images; those trained without it show .2 to 1.
    """
    from cnnaudit.checks.behavior._perturbations import VARIATIONS

    claimed = {name: v for name, v in VARIATIONS.items() if getattr(target.claims, v.claim)}
    if not claimed:
        raise UnsupportedError(
            "the file claims no invariance (claims.rotation_degrees, translation_pixels, scale, polarity, noise)"
        )
    part_trial = trial.among(len(claimed))
    return [_invariance(target, part_trial, name, variation) for name, variation in claimed.items()]


def _invariance(target: AuditTarget, trial: Trial, name: str, variation: Variation) -> Finding:
    """The finding of one claim."""
    from cnnaudit.checks.behavior import _pictures as pictures
    from cnnaudit.checks.behavior._invariance import vary

    images, labels = _images(trial)
    before = trial.predictions("validation").argmax(1)
    limit = float(getattr(target.claims, variation.claim))
    found = vary(target.logits, images, before, variation, limit, trial.torch_generator(name), target.batch_size)
    moved = (found.predicted != before).nonzero().flatten()
    shown = moved[: len(found.changed)]
    captions = [
        (
            target.classes[before[i]] + (" (right)" if before[i] == labels[i] else " (wrong)"),
            target.classes[found.predicted[i]]
            + (f" at {found.magnitudes[i]:.3g} {variation.unit}" if variation.unit else ""),
        )
        for i in shown
    ]
    accuracy = [float((predicted == labels).double().mean()) for predicted in (before, found.predicted)]
    bands = found.bands(before)
    chart = (
        [evidence.bars(f"Change by {name}", bands, label=f"share that changes, by {variation.unit}")] if bands else []
    )
    return trial.judge_share(
        len(moved),
        len(images),
        part=name,
        summary=f"{len(moved)} of {len(images)} predictions change when images are "
        f"{variation.phrase.format(limit=limit)}; accuracy goes from {accuracy[0]:.3f} to {accuracy[1]:.3f}.",
        locations=[Location(1.0, image=image) for image in _names(target, trial, moved[:LISTED].numpy())],
        evidence=chart + pictures.pairs("Predictions that change", images[shown], found.changed, captions),
    )


@check(
    "behavior.determinism",
    question="Does the same image always get the same answer, whatever else is asked with it?",
    statistic="largest change of an image's logits when asked again",
    unit="of the logits' spread",
    direction="at_most",
    tolerance=0.05,
    gate=True,
    remedy="Make the answer a function of the image alone: call eval(), and look for dropout or batch normalization "
    "with training=True in the model's code.",
    reference="Ioffe and Szegedy, Batch normalization, 2015, section 3.1 (inference must depend on the input alone)",
    needs=("validation",),
    exact=True,
)
def check_determinism(target: AuditTarget, trial: Trial) -> Finding:
    """Largest relative change of the logits of 64 images asked again alike, in other batches and order, and alone.

    The difference is that of `cnnaudit.checks.behavior._repeatability`, in units of the logits' own spread: rounding in another
    order of sums stays below the tolerance in every number format, chance and batch statistics do not. It is exact: no
    sampling error is involved. A prediction that changes within the tolerance is a tie up to rounding and is counted.
    The tolerance is ten times the largest difference measured without a defect (Inception v3 in bfloat16: .0045;
    float32: 1e-5); planted dropout and batch statistics move the logits by .3 and more.
    """
    from cnnaudit.checks.behavior._repeatability import repetitions

    images, _ = _images(trial, least=1)
    chosen = np.unique(np.linspace(0, len(images) - 1, REPEATED).round().astype(int))
    asked = repetitions(target.logits, images[chosen], derive_seed(trial.seed, target.name, trial.check.id))
    worst = max(asked, key=lambda repetition: float(repetition.difference.max()))
    largest = float(worst.difference.max())
    changed = sum(int(repetition.changed.sum()) for repetition in asked)
    order = worst.difference.argsort(descending=True)[:LISTED].numpy()
    names = _names(target, trial, chosen[order])
    return trial.judge(
        largest,
        (largest, largest),
        n=len(chosen),
        summary=f"Asked again, {len(chosen)} images get the same logits up to {largest:.2g} of their spread "
        f"({worst.how}); {changed} of {sum(len(r.changed) for r in asked)} predictions change.",
        locations=[Location(float(worst.difference[i]), image=name) for i, name in zip(order, names, strict=True)],
        evidence=[
            evidence.table(
                "Asked again",
                ("how", "largest change", "predictions changed"),
                [(r.how, float(f"{r.difference.max():.3g}"), int(r.changed.sum())) for r in asked],
            )
        ],
    )


@check(
    "behavior.collapsed_classes",
    question="Is a class never predicted, or is one always predicted?",
    statistic="predictions of the rarest predicted class for each of its images",
    unit="predictions per image",
    direction="at_least",
    tolerance=0.25,
    gate=True,
    remedy="Balance the training (weight the loss by class, or sample the classes evenly) or move the decision "
    "threshold, and check that data.classes names every class in the order of the logits.",
    reference="von Burg, Debugging deep neural networks, 2017 (400 passes, 30 failures: 'always pass' scores 93 %)",
    needs=("validation",),
)
def check_collapsed_classes(target: AuditTarget, trial: Trial) -> Finding:
    """Smallest ratio, over the classes, of how often a class is predicted to how often it occurs.

    0 for a class that is never predicted; where one is always predicted, every other has 0. The interval is exact
    (Clopper and Pearson) and holds for all classes at once (Bonferroni). Classes with too few images to tell 'never'
    from the tolerance are named, not judged; where that is all of them, only 'one is always predicted' can be told.
    The tolerance is a policy below the lowest ratio of weak but honest models (.33, at .45 accuracy on CIFAR-10).
    """
    from cnnaudit.checks.behavior import _collapse as collapse

    labels, predicted = _answers(trial)
    counts = np.bincount(labels, minlength=len(target.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise UnsupportedError("the validation images are all of one class: there is no other that could be forgotten")
    each = 1 - (1 - trial.confidence) / len(present)
    needed = collapse.needed_per_class(trial.tolerance, each)
    judged = present[counts[present] >= needed]
    found = collapse.balances(labels, predicted, judged, each) or [collapse.others(labels, predicted, each)]
    worst = min(found, key=lambda balance: balance.ratio)
    interval = (min(b.interval[0] for b in found), min(b.interval[1] for b in found))
    few = f"{len(present) - len(judged)} of {len(present)} classes have fewer than the {needed} images that it takes"
    if not len(judged) and trial.verdict(interval) != "fail":
        raise UnsupportedError(
            f"{few} to judge one; none takes all predictions (at most {np.bincount(predicted).max()})"
        )
    shown = sorted(found, key=lambda balance: balance.ratio)[:LISTED]
    names = [target.classes[b.classes[0]] if len(judged) else "all classes but one" for b in shown]
    rows = [(name, b.present, b.predicted) for name, b in zip(names, shown, strict=True)]
    return trial.judge(
        worst.ratio,
        interval,
        n=len(labels),
        p_value=min(1.0, len(present) * min(balance.p_value(trial.tolerance) for balance in found)),
        summary=f"Predicted least often for its images is {names[0]}: {worst.predicted} times for {worst.present}"
        + (f"; {few} to judge one." if len(judged) < len(present) else "."),
        locations=[Location(b.ratio, class_name=name) for name, b in zip(names, shown, strict=True) if len(judged)],
        evidence=[evidence.table("Rarest predicted classes", ("class", "images", "predictions"), rows)],
    )


@check(
    "behavior.claimed_accuracy",
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
def check_claimed_accuracy(target: AuditTarget, trial: Trial) -> Finding:
    """Claimed accuracy less the accuracy on the validation images, with its exact binomial interval.

    Where nothing is claimed: the accuracy of guesses with the same class frequencies, sum over k of p_k q_k (p_k the
    share of images, q_k of predictions), less the accuracy, to be at most 0. The tolerance is a policy, set so that a
    true claim of .95 is confirmed in 99 of 100 runs: (z(1 - .05 / 32) + z(.99)) sqrt(.95 .05 / n) for n = 500, 2,000
    and 10,000; a true claim of .75 may need more images, and the finding says how many. A model that does not pass is
    tried with reversed channels, another scale, exchanged polarity and another order of classes, and the remedy names
    what explains it.
    """
    from cnnaudit.checks.behavior._diagnosis import confusion

    labels, predicted = _answers(trial)
    n, correct, k = len(labels), int((labels == predicted).sum()), len(target.classes)
    claim = target.claims.accuracy
    matrix = confusion(labels, predicted, k)
    wanted = float((matrix.sum(0) / n) @ (matrix.sum(1) / n)) if claim is None else claim
    trial = trial if claim is not None else replace(trial, tolerance=0.0)
    low, high = proportion_interval(correct, n, trial.confidence)
    interval = (wanted - high, wanted - low)
    bound = wanted - trial.tolerance
    return trial.judge(
        wanted - correct / n,
        interval,
        n=n,
        p_value=proportion_p_value(correct, n, max(bound, 0.0), "at_least"),
        needed_n=needed_images(correct / n, bound, trial.confidence),
        summary=f"{correct} of {n} images ({correct / n:.3f}) are classified correctly; "
        + (f"{wanted:.3f} by chance, nothing claimed." if claim is None else f"{wanted:g} is claimed."),
        remedy=trial.check.remedy + ("" if trial.verdict(interval) == "pass" else _explanation(target, trial)),
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


def _explanation(target: AuditTarget, trial: Trial) -> str:
    """A sentence on what would make the model more accurate, where one of the usual mistakes does."""
    from cnnaudit.checks.behavior._diagnosis import class_order, input_mistake

    images, labels = _images(trial)
    predicted = trial.predictions("validation").argmax(1)
    some = trial.generator("mistakes").permutation(len(images))[:DIAGNOSED]
    tried = (
        class_order(labels.numpy(), predicted.numpy(), target.classes, trial.generator("order")),
        input_mistake(target.logits, images[some], labels[some], predicted[some]),
    )
    best = max((mistake for mistake in tried if mistake), key=lambda mistake: mistake.share, default=None)
    return f" With {best.what}, {best.after} of {best.n} images are right instead of {best.before}." if best else ""


@check(
    "behavior.worst_group",
    question="Is the model worse for some group of images (a scanner, a site, a class on a background)?",
    statistic="accuracy that the worst group lacks to the other images, class by class",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.2, "standard": 0.1, "deep": 0.1},
    gate=True,
    remedy="Look at the group's images; collect more like them, or weight them in training (group DRO), and report "
    "accuracy by group.",
    reference="Sagawa et al., Distributionally robust neural networks for group shifts, 2020",
    needs=("validation", "metadata"),
)
def check_worst_group(target: AuditTarget, trial: Trial) -> Finding:
    """Largest gap, over groups, between the accuracy of the other images and the group's own, class by class.

    What is expected of a group is the accuracy outside it, with its own mix of classes: a site with more of a hard
    class is not blamed for it. Groups are the values of each metadata column (a numeric one in quarters), and each
    value within each class. The gap's interval joins the exact intervals of both accuracies (Newcombe 1998, square
    and add) and holds for all judged groups at once (Bonferroni); small groups are named, not judged. The tolerance is
    a policy: random sites of digits and MNIST have worst gaps up to .07, which 500 images tell from .2.
    """
    from cnnaudit.checks.behavior._groups import groups, judged

    labels, predicted = _answers(trial)
    metadata = target.split("validation").metadata
    if not metadata:
        raise UnsupportedError("the validation images have no metadata: data.metadata names none of them")
    columns = {name: np.asarray(column)[trial.indices("validation")] for name, column in metadata.items()}
    every = groups(labels == predicted, labels, columns, target.classes)
    found, each = judged(every, trial.tolerance, trial.confidence)
    small = [group for group in every if group not in found]
    if not found:
        raise UnsupportedError(
            f"no group of the metadata ({', '.join(columns)}) is large enough to be judged; "
            f"the largest of {len(every)} has {max((g.images for g in every), default=0)} images"
        )
    worst = max(found, key=lambda group: group.gap)
    intervals = [group.interval(each) for group in found]
    shown = sorted(found, key=lambda group: -group.gap)[:LISTED]
    named = ", ".join(group.name for group in small[:3]) + (", ..." if len(small) > 3 else "")
    rows = [(g.name, g.images, round(g.accuracy, 3), round(g.expected, 3), True) for g in shown]
    rows += [(g.name, g.images, round(g.accuracy, 3), round(g.expected, 3), False) for g in small[:LISTED]]
    return trial.judge(
        worst.gap,
        (max(low for low, _ in intervals), max(high for _, high in intervals)),
        n=len(labels),
        summary=f"The worst of {len(found)} groups, {worst.name}, has {worst.accuracy:.3f} accuracy; "
        f"{worst.expected:.3f} is expected from the other images"
        + (f" ({len(small)} groups are too small: {named})." if small else "."),
        evidence=[
            evidence.bars(
                "Accuracy below that of the other images",
                {g.name: g.gap for g in shown},
                label="gap",
                tolerance=trial.tolerance,
            ),
            evidence.table("Groups", ("group", "images", "accuracy", "expected", "judged"), rows),
        ],
    )


def _images(trial: Trial, least: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """The shared validation sample, refused where it is too small to say anything."""
    images, labels = trial.sample("validation")
    if len(images) < least:
        raise UnsupportedError(f"the validation split has {len(images)} images; this question needs {least} or more")
    return images, labels


def _answers(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes of the shared validation sample, int64 (n,)."""
    _, labels = _images(trial)
    return labels.numpy(), trial.predictions("validation").argmax(1).numpy()


def _names(target: AuditTarget, trial: Trial, positions: np.ndarray) -> list[str]:
    """The names of images at those positions of the shared sample."""
    split = target.split("validation")
    return [split.name(int(index)) for index in trial.indices("validation")[positions]]
