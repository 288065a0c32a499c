"""How much of its accuracy does the model keep under common corruptions?

Noise, blur, weather and compression change what an image looks like and not what it shows. A model that loses its skill
at the faintest of them goes by something that no camera promises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.behavior._claims import is_claimed
from cnnaudit.checks.behavior._sample import sampled_images
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import sampled, trained_lenet
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import bootstrap_interval, needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

#: Forward passes at quick, over all corruptions and severities: thirteen images for each of the 75.
PASSES = 1_000
KEPT = 3  # changed images of each corruption


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Answers to corrupted images, one row each.

    Attributes:
        name, severity: of the corruption.
        image: position in the sample.
        predicted: the class.
        examples: for each corruption, images that were right before: (position, severity, corrupted image, answer).
    """

    name: np.ndarray
    severity: np.ndarray
    image: np.ndarray
    predicted: np.ndarray
    examples: dict[str, list[tuple[int, int, torch.Tensor, int]]]


def positions(n: int, cells: int, passes: int | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Which of n images each cell is asked about: all of them, or its share of the passes, each image about as often.

    Example:
        >>> [len(part) for part in positions(500, 75, 1_000, np.random.default_rng(0))][:3]
        [13, 13, 13]
    """
    each = n if passes is None else min(n, max(1, passes // cells))
    order = rng.permutation(n)
    return [np.sort(order[(cell * each + np.arange(each)) % n]) for cell in range(cells)]


def ask(context: CheckContext, images: torch.Tensor, labels: np.ndarray, right: np.ndarray) -> Corrupted:
    """The classes of the corrupted images; `right` says which were classified correctly before."""
    import torch

    from cnnaudit.corruptions import CORRUPTIONS, SEVERITIES, corrupt

    cells = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    passes = PASSES if context.profile.name == "quick" else None
    chosen = positions(len(images), len(cells), passes, context.generator("images"))
    found: list[tuple[str, int, np.ndarray, np.ndarray]] = []
    examples: dict[str, list[tuple[int, int, torch.Tensor, int]]] = {name: [] for name in CORRUPTIONS}
    for (name, severity), rows in zip(progress(cells, "corrupting images", len(cells)), chosen):
        generator = context.torch_generator(name, severity)
        for part in np.array_split(rows, -(-len(rows) // context.target.batch_size)):
            changed = corrupt(images[torch.from_numpy(part)], name, severity, generator)
            answers = context.target.logits(changed).argmax(1).numpy()
            found.append((name, severity, part, answers))
            lost = np.flatnonzero(right[part] & (answers != labels[part]))
            room = KEPT - len(examples[name])
            examples[name] += [(int(part[k]), severity, changed[k], int(answers[k])) for k in lost[:room]]
    sizes = [len(part) for _, _, part, _ in found]
    return Corrupted(
        np.repeat([name for name, *_ in found], sizes),
        np.repeat([severity for _, severity, *_ in found], sizes),
        np.concatenate([part for *_, part, _ in found]),
        np.concatenate([answers for *_, answers in found]),
        examples,
    )


def chance(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Accuracy of guesses with the frequencies of the predictions: the sum over classes of p_k q_k."""
    shares = (np.bincount(values, minlength=classes) / len(values) for values in (labels, predicted))
    return float(np.dot(*shares))


@check(
    question="How much of its accuracy does the model keep under common corruptions?",
    statistic="share of the accuracy above chance that is kept under corruption",
    unit="1: all of it, 0: none",
    direction="at_least",
    tolerance=0.3,
    gate=partial(is_claimed, claim="corruption_accuracy"),
    remedy="Train with augmentation (AugMix, or noise, blur and JPEG of random strength), other corruptions than the "
    "ones that are tested, and look at the pictures of the worst one.",
    reference="Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and "
    "perturbations, 2019",
    needs=("validation",),
)
def corruption(context: CheckContext) -> Finding:
    """(accuracy - chance under corruption) / (accuracy - chance on the same sample uncorrupted), over 15 corruptions.

    The mean is over 15 corruptions at five severities (`cnnaudit.corruptions`); chance is the accuracy of guesses with
    the frequencies of the answers, so that a model that answers one class whatever comes keeps nothing, of two
    classes too. At quick each corruption and severity is asked about 13 images (at most 1,000 forward passes), each
    image of the sample about equally often; from standard on about every image. The interval is a bootstrap over
    images. With `claims.corruption_accuracy` the mean accuracy itself is judged, with an exact interval for the number
    of images.

    Tolerance without a claim: 60 ordinary networks keep .63 and more, MobileNetV2 on photographs .41 (interval .37 to
    .46), ResNet-50 as published about .51; a model that goes by a difference of 1/255 keeps about .2.
    """
    from cnnaudit.checks.behavior.corruption_figures import by_corruption, figures

    images, truth = sampled_images(context)
    labels, before = truth.numpy(), context.predictions("validation").argmax(1).numpy()
    right, classes = before == labels, len(context.target.classes)
    skill = right.mean() - chance(labels, before, classes)
    if skill <= 0:
        raise UnsupportedError(
            f"the model is right in {right.mean():.3f} of the images as they are, no better than guessing: there is "
            "no accuracy to keep"
        )
    found = ask(context, images, labels, right)
    correct = found.predicted == labels[found.image]
    by_chance = chance(labels[found.image], found.predicted, classes)
    kept, interval = _kept(context, found, correct, right, by_chance, float(right.mean() - skill))
    accuracy, n = float(correct.mean()), len(np.unique(found.image))
    rows = by_corruption(found, correct, context.confidence)
    worst = rows[0]
    details: dict[str, Any] = {
        "n": n,
        "summary": f"Of an accuracy of {right.mean():.3f}, {accuracy:.3f} is left on average over 15 corruptions at "
        f"five severities ({len(correct):,} corrupted images): {kept:.2f} of what is above chance. The worst is "
        f"{worst.words}, with {worst.accuracy:.3f}.",
        "evidence": figures(context, images, labels, found, correct, rows, float(right.mean())),
    }
    claim = context.target.claims.corruption_accuracy
    if claim is None:
        return context.judge(kept, interval, **details)
    judged = replace(context.check, statistic="mean accuracy under corruption", unit="share of images")
    context = replace(context, check=judged, tolerance=float(claim))
    return context.judge(
        accuracy,
        proportion_interval(round(accuracy * n), n, context.confidence),
        p_value=proportion_p_value(round(accuracy * n), n, float(claim), "at_least"),
        needed_n=needed_images(accuracy, float(claim), context.confidence),
        **details,
    )


def _kept(
    context: CheckContext,
    found: Corrupted,
    correct: np.ndarray,
    right: np.ndarray,
    by_chance: float,
    chance_before: float,
) -> tuple[float, tuple[float, float]]:
    """The share of the accuracy above chance that is kept, with its bootstrap interval over images."""
    asked = np.bincount(found.image, minlength=len(right))
    rows = np.stack((np.bincount(found.image, weights=correct, minlength=len(right)), asked, right), 1)

    def share(sample: np.ndarray) -> float:
        total = sample.sum(0)
        skill = total[2] / len(sample) - chance_before
        return float((total[0] / total[1] - by_chance) / skill) if total[1] and skill > 0 else float("nan")

    interval = bootstrap_interval(
        rows,
        share,
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.profile.resamples,
    )
    return share(rows), interval


def tagged(seed: int, side: int, by_tag: bool) -> AuditTarget:
    """Digits with a gray corner whose brightness names the class, for a model that goes by it, or by the digit.

    Args:
        side: of the corner, in pixels; it is brighter by 1/255 from one class to the next.
        by_tag: whether the model reads the corner; else it is a LeNet trained on digits without it.
    """
    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled("digits", "validation", seed)
    images = images.copy()
    images[:, :, :side, :side] = ((_DARKEST + labels) / 255)[:, None, None, None]
    model = _reads_tag(side, len(classes)) if by_tag else trained_lenet("digits", seed)
    return AuditTarget.from_arrays("tagged digits", model, {"validation": (images, labels)}, classes)


_DARKEST = 100  # brightness of the corner for the first class, in 1/255


def _reads_tag(side: int, classes: int) -> nn.Module:
    """Answers the class whose brightness is nearest to that of the corner."""
    import torch
    from torch import nn

    class ReadsTag(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            read = images[:, :, :side, :side].mean((1, 2, 3)) * 255 - _DARKEST
            return -(read[:, None] - torch.arange(classes, device=images.device)).abs()

    return ReadsTag()


PLANTS = [
    Plant(
        f"goes by a corner of {side} x {side} pixels, 1/255 brighter from class to class",
        partial(tagged, side=side, by_tag=True),
        partial(tagged, side=side, by_tag=False),
    )
    for side in (2, 5)
]
POPULATIONS = [*ordinary(seeds=60)]
