"""Is there a group of images, named by no metadata, on which the model fails?

Images of one scanner, turned by a viewer or taken at night may fail while the mean accuracy looks fine. Without a
column that names them, the audit looks for a kind of image with many errors, and counts again on images that it did not
look at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check, real
from cnnaudit.checks.behavior._sample import sampled_images
from cnnaudit.checks.behavior._slices import Slice, find, halves, least, projections
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import fitted_readout, sampled
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator, proportion_interval

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_FEWEST = 40  # images of the sample: two halves of 20


@check(
    question="Is there a group of images, named by no metadata, on which the model fails?",
    statistic="accuracy that a group, found on other images, lacks to the rest, class by class",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.2, "standard": 0.1, "deep": 0.1},
    gate=False,
    remedy="Look at the group's images and name what they share; record it as metadata (data.metadata), collect more "
    "such images or augment with them, and audit again: behavior.worst_group then watches it.",
    reference="Eyuboglu et al., Domino: discovering systematic errors with cross-modal embeddings, 2022; "
    "d'Eon et al., The spotlight: a general method for discovering systematic errors in deep learning models, 2022",
    needs=("validation",),
)
def hidden_group(context: CheckContext) -> Finding:
    """Accuracy expected in a group from other images of its classes, less the group's own, on images held back.

    The sample is split in half, class by class. On the first half a small tree looks for the kind of image with the
    most errors beyond those of its classes; the second half, which had no say, gives the gap, its interval (Newcombe
    1998, from the exact intervals inside and outside) and an exact test. The tree sees random-filter features and
    hand-made ones (brightness, contrast, edges, color), not the model's: those hold its answer, and a leaf of them is
    often no more than 'looks like another class'. One group is asked about, of at least a tenth of the images; smaller
    ones, and several at once, are not told apart.

    The tolerance is that of `behavior.worst_group`. None of 40 ordinary networks fails; a seventh of the images or
    more, turned or negative, are found in digits and MNIST in 39 of 40. Power depends on what the group looks like:
    of 99 groups planted in 24 ordinary networks on MNIST, Fashion-MNIST and CIFAR-10 (turned by a quarter, darkened
    or negative; a seventh to a quarter of all images, or half of a class) that cost more than .4 accuracy, 76 fail
    and 2 pass; on CIFAR-10 alone 12 of 26 fail.
    """
    from cnnaudit.checks.behavior.hidden_group_figures import figures
    from cnnaudit.checks.random_filters import filter_features
    from cnnaudit.checks.scan import shrink
    from cnnaudit.reading.hand_made import hand_made

    images, truth = sampled_images(context, _FEWEST)
    labels, answers = truth.numpy(), context.predictions("validation").argmax(1).numpy()
    correct = answers == labels
    second = halves(labels, context.generator("halves"))
    if not second.any():
        raise UnsupportedError("no class has two validation images, one to find a group on and one to confirm it")
    counted = hand_made(images)
    kinds = [filter_features(shrink(images)).astype(float), np.stack(list(counted.values()), axis=1)]
    if correct[~second].all():
        return _without_errors(context, correct, second)
    found = find(projections(kinds), labels, correct, second)
    if found is None or found.confirmed is None:
        raise UnsupportedError(
            f"the {len(labels)} validation images show no two kinds with images of the same class in both halves, so "
            "no group can be compared with the rest"
        )
    group = found.confirmed
    return context.judge(
        group.gap,
        group.interval(context.confidence),
        n=int(second.sum()),
        p_value=found.p_value,
        summary=f"A kind of image, found on one half of the sample, has {group.accuracy:.3f} accuracy on the other "
        f"half ({group.images} images); {group.expected:.3f} is expected from the other images of its classes "
        f"(exact test, p = {found.p_value:.2g}).{_reads(found, counted)}",
        evidence=figures(context, images, labels, answers, found, counted),
    )


def _without_errors(context: CheckContext, correct: np.ndarray, second: np.ndarray) -> Finding:
    """Where the first half has no error there is nothing to find: how wrong a group may still be is what is judged."""
    size = least(int((~second).sum()))
    return context.judge(
        0.0,
        (0.0, proportion_interval(0, size, context.confidence)[1]),
        n=len(correct),
        summary=f"No group was found: on the half of the sample that groups are looked for in, all {(~second).sum()} "
        f"images are right, and {(~correct[second]).sum()} of {second.sum()} in the other are wrong. A group of "
        f"{size} images without an error is what the interval rests on.",
    )


def _reads(found: Slice, counted: dict[str, np.ndarray]) -> str:
    """The hand-made features that differ most, in words."""
    from cnnaudit.checks.behavior.hidden_group_figures import differences

    told = [row for row in differences(counted, found.members) if row.significant][:2]
    if not told:
        return " No hand-made feature tells these images from the others: look at them."
    words = " and ".join(f"{'more' if row.auc > 0.5 else 'less'} '{row.name}' (AUC {row.auc:.2f})" for row in told)
    return f" Its images have {words} than the others."


def spoiled(seed: int, source: str, how: str, share: float, bad: bool) -> AuditTarget:
    """Images some of which, of every class and at random, are turned by a quarter or made negative where `bad`.

    Args:
        how: `turned` or `negative`.
        share: of the images that are changed.
    """
    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled(source, "validation", seed)
    chosen = (generator("planted", seed, "spoiled").random(len(labels)) < share) & bad
    changed = np.rot90(images, axes=(2, 3)) if how == "turned" else 1 - images
    given = np.where(chosen[:, None, None, None], changed, images)
    return AuditTarget.from_arrays(source, fitted_readout(source, seed), {"validation": (given, labels)}, classes)


_PLANTED: tuple[tuple[str, str, float], ...] = (("digits", "turned", 0.25), ("digits", "turned", 0.15))
if "mnist" in real.names():
    _PLANTED += (("mnist", "negative", 0.4), ("mnist", "negative", 0.25))
PLANTS = [
    Plant(
        f"{share:.0%} of the images of {source} are {how}",
        partial(spoiled, source=source, how=how, share=share, bad=True),
        partial(spoiled, source=source, how=how, share=share, bad=False),
    )
    for source, how, share in _PLANTED
]
POPULATIONS = [*ordinary(seeds=40)]
