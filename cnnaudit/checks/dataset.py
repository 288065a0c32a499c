"""Are the data fit to learn from? Copies, constant classes, shortcuts, imbalance, labels without signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.checks.registry import Trial, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.dataset._probes import Probe
    from cnnaudit.target import AuditTarget

_TREE_IMAGES = 10_000
_THESIS = "España (2021), Sensitivity analysis of the CNN learning process using synthetic images"


@check(
    "dataset.constant_class",
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
def check_constant_class(target: AuditTarget, trial: Trial) -> Finding:
    """The smallest class spread in random 3x3-filter features, relative to the other classes.

    s_k = sqrt(mean |x - m_k|^2) over the images of class k, x the largest responses of 32 random 3x3 filters in a 4 x 4
    grid, divided by the median of the other classes' s; the least over the classes, with the interval of
    `cnnaudit.checks.dataset._spread.class_spreads`. All of the training split is looked at (else the validation split).

    Tolerance: the least spread of clean classes is .62 (1 % point of digits, MNIST, CIFAR-10 and figures, classes drawn
    at random); half of it, rounded down, .3. A class of one image with noise of .02 lies at .18.
    """
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._scan import scan
    from cnnaudit.checks.dataset._spread import FEWEST, class_spreads

    split = "train" if "train" in target.splits else "validation"
    seen = scan(target, split, trial.profile.megapixels, trial.seed)
    found = class_spreads(seen.thumbnails, seen.labels, trial.confidence)
    if len(found.classes) < 2:
        raise UnsupportedError(
            f"comparing classes needs two with at least {FEWEST} images in data.{split}, found {len(found.classes)}"
        )
    names, kind = [target.classes[k] for k in found.classes], "training" if split == "train" else split
    worst = int(found.ratio.argmin())
    return trial.judge(
        float(found.ratio.min()),
        (float(found.low.min()), float(found.high.min())),
        n=int(found.n.sum()),
        summary=f"The {kind} images of class '{names[worst]}' differ from each other {found.ratio.min():.2f} times as "
        "much as those of other classes do.",
        locations=_locations(names, found.ratio, worst, found.high < trial.tolerance),
        evidence=pictures.of_spreads(target, split, seen, found, trial.tolerance),
    )


@check(
    "dataset.leakage",
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
def check_leakage(target: AuditTarget, trial: Trial) -> Finding:
    """Share of validation images that also stand in the training split, exactly or nearly, in the worst class.

    Exact and near copies as defined in `cnnaudit.checks.dataset._duplicates.find_twins`. Both splits are looked through whole,
    so the share is a count without sampling error; only where a split is larger than the profile's `megapixels` it is
    an estimate from a stratified sample, (copies found) / (n * share of training looked at), with an exact binomial
    interval whose error is divided by the number of classes.

    Tolerance: clean data have none (99 % point 0; all of MNIST .0009 in its worst class), so the bound is a policy: one
    image in a hundred, below which copies cannot move the accuracy by more than a point.
    """
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._duplicates import copy_shares, find_twins
    from cnnaudit.checks.dataset._scan import scan

    validation, train = (scan(target, s, trial.profile.megapixels, trial.seed) for s in ("validation", "train"))
    if not len(validation.labels) or not len(train.labels):
        raise UnsupportedError("looking for copies needs images in data.train and in data.validation")
    twins = find_twins(validation, train)
    found = copy_shares(twins, validation, train, trial.confidence)
    names = [target.classes[k] for k in found.classes]
    worst = int(found.share.argmax())
    partly = "" if train.share == 1 else f" ({train.share:.0%} of the training images were looked at)"
    return trial.judge(
        float(found.share.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(validation.labels),
        summary=f"{found.exact.sum() + found.near.sum()} of {found.n.sum()} validation images have a copy among the "
        f"training images ({found.exact.sum()} exact), {found.share.max():.1%} in class '{names[worst]}'{partly}.",
        locations=_locations(names, found.share, worst, found.low > trial.tolerance),
        evidence=pictures.of_twins(target, validation, train, twins, found),
    )


@check(
    "dataset.trivial_feature",
    question="Do a few hand-made features explain as much as the model?",
    statistic="above-chance accuracy of a small tree on hand-made features, over the model's",
    unit="ratio",
    direction="at_most",
    tolerance=0.85,
    gate=True,
    remedy="Balance the named feature over the classes (same area, brightness, color, file format), or show that it is "
    "the property the model is meant to use. A model has no reason to learn more than the easiest sufficient feature.",
    reference=f"{_THESIS}, figure 5",
    needs=("train", "validation"),
)
def check_trivial_feature(target: AuditTarget, trial: Trial) -> Finding:
    """How much of what the model achieves a decision tree of few leaves achieves on features anybody could count.

    (b_tree - 1/K) / (1 - 1/K) over the same for the model, b the balanced accuracy on the validation sample. The tree
    has max(6, 2K) leaves and is fitted to the training sample; features: `cnnaudit.reading.hand_made.hand_made` and the
    files' size and aspect. A tree of max(16, 5K) leaves is reported beside it. The interval is a Bayesian bootstrap
    over the validation images (`cnnaudit.core.statistics.balanced.draw_counts`). A model at chance cannot be explained: not
    applicable.

    Tolerance: 99 % point of clean data, .82 (two digits that differ in ink, such as 0 and 1), rounded up to .85.
    """
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.core.statistics import balanced as scores
    from cnnaudit.reading.hand_made import explain, hand_made

    truth = _labels(trial.sample("validation"), "validation")
    answers = trial.predictions("validation").argmax(1).numpy()
    rng = trial.generator()
    if scores.balanced_interval(answers, truth, trial.confidence, rng)[0] <= 0:
        raise UnsupportedError(
            f"on {len(truth)} images the model is not clearly above chance, so there is nothing to explain"
        )
    n = trial.profile.images or _TREE_IMAGES
    sample, rows = target.sample("train", n, trial.seed), target.draw("train", n, trial.seed)
    labels = _labels(sample, "train")
    known = hand_made(sample[0], target.split("train").properties(rows))
    asked = hand_made(trial.sample("validation")[0], target.split("validation").properties(trial.indices("validation")))
    known = {name: column for name, column in known.items() if name in asked}
    columns, questions = (np.stack([of[name] for name in known], axis=1) for of in (known, asked))
    found = explain((columns, labels), (questions, truth), answers, trial.confidence, rng)
    first = list(known)[int(found.tree.feature_importances_.argmax())]
    return trial.judge(
        found.ratio,
        found.interval,
        n=len(truth),
        summary=f"A tree of {found.tree.get_n_leaves()} leaves, mostly on '{first}', reaches {found.ratio:.0%} of what "
        f"the model reaches above chance; a larger one {found.larger / found.model:.0%}.",
        evidence=pictures.of_tree(found, known, labels, target.classes),
    )


@check(
    "dataset.border_shortcut",
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
def check_border_shortcut(target: AuditTarget, trial: Trial) -> Finding:
    """AUC with which the outer ring (a sixteenth of the image on each side) tells a class from the rest; worst class.

    A tree of 4 leaves on mean and spread of the ring's 60 cells, fitted to the training sample and asked of the
    validation sample: `cnnaudit.checks.dataset._ring.ring_scores`.

    Natural borders carry some signal (sky around airplanes .76, MNIST .82). Tolerance: 99 % point of clean data, .954,
    reached where digits are enlarged until they touch the border, rounded up to .96.
    """
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._ring import FEWEST, MOST, ring_cells, ring_scores
    from cnnaudit.checks.dataset._scan import few, scan

    train, validation = (
        few(scan(target, s, trial.profile.megapixels, trial.seed), MOST) for s in ("train", "validation")
    )
    cells = [(ring_cells(seen.thumbnails), seen.labels) for seen in (train, validation)]
    found = ring_scores(cells[0], cells[1], trial.confidence, trial.generator())
    if not len(found.classes):
        raise UnsupportedError(f"asking the border needs two classes, one with at least {FEWEST} images in each split")
    names = [target.classes[k] for k in found.classes]
    worst = int(found.auc.argmax())
    return trial.judge(
        float(found.auc.max()),
        (float(found.low.max()), float(found.high.max())),
        n=len(train.labels) + len(validation.labels),
        summary=f"The outer ring alone tells class '{names[worst]}' from the others with an AUC of "
        f"{found.auc.max():.3f} (0.5 is chance, 1 is certain).",
        locations=_locations(names, found.auc, worst, found.low > trial.tolerance),
        evidence=pictures.of_rings(validation, found, target.classes, trial.tolerance),
    )


@check(
    "dataset.metadata_shortcut",
    question="Does a column of metadata predict the label?",
    statistic="balanced accuracy of the label from the column alone, above chance",
    unit="0: chance, 1: perfect",
    direction="at_most",
    tolerance=0.2,
    gate=True,
    remedy="Balance the classes over the values of this column (or weight the images so), and test on values that the "
    "model has not seen. Otherwise nobody can tell whether the model learned the class or the scanner.",
    reference="Zech et al. (2018), Variable generalization performance of a deep learning model to detect pneumonia",
    needs=("metadata",),
)
def check_metadata_shortcut(target: AuditTarget, trial: Trial) -> list[Finding]:
    """How well each column of the metadata alone predicts the label; one finding per column.

    (b - 1/K) / (1 - 1/K), b the balanced accuracy on all validation rows of the rule that
    `cnnaudit.checks.dataset._columns.predict_label` learns from the training rows; with metadata for one split only, each half
    of it is predicted from the other. The interval is a Bayesian bootstrap over the images, its error divided by the
    number of columns. Constant columns and identifiers (whole numbers or text with another value for more than half of
    the images) are not applicable: nobody could learn them.

    Tolerance: 99 % point of independent columns, .06, and .14 that the interval of 500 images in two classes needs
    around it: .2.
    """
    from cnnaudit.checks.dataset._columns import comparable, unusable

    described = [name for name, split in target.splits.items() if split.metadata]
    asked = target.split("validation" if "validation" in described else described[0])
    known = target.split("train") if "train" in described else asked
    if min(len(np.unique(split.labels)) for split in (known, asked)) < 2:
        raise UnsupportedError("predicting the label needs images of two classes with metadata")
    columns = {
        name: comparable(known.metadata[name], asked.metadata[name])
        for name in asked.metadata
        if name in known.metadata
    }
    reasons = {name: unusable(values) for name, (values, _) in columns.items()}
    each = trial.among(sum(not reason for reason in reasons.values()))
    learned = None if known is asked else np.asarray(known.labels)
    return [
        trial.not_applicable(f"Column '{name}' {reasons[name]}.", part=name)
        if reasons[name]
        else _of_column(target, each, name, None if learned is None else (values, learned), (questions, asked.labels))
        for name, (values, questions) in columns.items()
    ]


def _of_column(
    target: AuditTarget,
    trial: Trial,
    name: str,
    known: tuple[np.ndarray, np.ndarray] | None,
    asked: tuple[np.ndarray, np.ndarray],
) -> Finding:
    """The finding of one column; `known` and `asked` hold its values and the labels."""
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.core.statistics import balanced as scores
    from cnnaudit.checks.dataset._columns import ask_column

    labels, rng = np.asarray(asked[1]), trial.generator(name)
    predicted = ask_column(known, asked, len(target.classes), rng)
    score, chance = scores.balanced_score(predicted, labels), 1 / len(np.unique(labels))
    return trial.judge(
        score,
        scores.balanced_interval(predicted, labels, trial.confidence, rng),
        n=len(labels),
        part=name,
        summary=f"From '{name}' alone the label is predicted with a balanced accuracy of "
        f"{chance + score * (1 - chance):.1%} (chance {chance:.1%}).",
        evidence=pictures.of_column(name, asked[0], labels, target.classes),
    )


@check(
    "dataset.class_imbalance",
    question="Does the model beat 'always the majority' when all classes count alike?",
    statistic="balanced accuracy above chance",
    unit="0: always one class, 1: perfect",
    direction="at_least",
    tolerance=0.2,
    gate=True,
    remedy="Weight the loss or sample the classes evenly, move the threshold, or collect the rare class; and report "
    "balanced accuracy, not accuracy.",
    reference="von Burg (2017), Debugging deep neural networks; Brodersen et al. (2010), The balanced accuracy",
    needs=("validation",),
)
def check_class_imbalance(target: AuditTarget, trial: Trial) -> Finding:
    """Balanced accuracy on a scale where 'always the majority' is 0 and perfection 1.

    (b - 1/K) / (1 - 1/K), b the mean recall of the K classes of the sample; Bayesian bootstrap over the images of each
    class. Cohen's kappa, (accuracy - expected) / (1 - expected) with the agreement expected of independent answers of
    the same frequencies, is reported beside it.

    Tolerance: 'always pass' on 400 / 30 has an upper bound of .14, which must lie below it: .2. Clean models lie above
    .36.
    """
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.core.statistics import balanced as scores

    truth = _labels(trial.sample("validation"), "validation")
    predicted = trial.predictions("validation").argmax(1).numpy()
    score, present = scores.balanced_score(predicted, truth), np.unique(truth)
    recalls = scores.recalls(scores.class_counts(predicted == truth, truth, 2))
    sizes = np.bincount(truth)
    names = [target.classes[k] for k in present]
    return trial.judge(
        score,
        scores.balanced_interval(predicted, truth, trial.confidence, trial.generator()),
        n=len(truth),
        summary=f"The model is right on {np.mean(predicted == truth):.1%} of the images, 'always "
        f"{target.classes[int(sizes.argmax())]}' on {sizes.max() / sizes.sum():.1%}; with all classes counted alike it "
        f"reaches {recalls.mean():.1%} (chance {1 / len(present):.1%}).",
        locations=_locations(names, recalls, int(recalls.argmin()), recalls == 0),
        evidence=pictures.of_answers(predicted, truth, target.classes),
    )


@check(
    "dataset.label_signal",
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
def check_label_signal(target: AuditTarget, trial: Trial) -> Finding:
    """Balanced accuracy above chance of a simple probe, cross-validated, or of the model where that is better.

    The probe is kernel ridge regression on random-filter features of as many training images as the profile samples
    (else of validation images), in 5 folds: `cnnaudit.checks.dataset._probes`. Its p-value comes from permuting the labels.
    Where the probe is too simple (hundreds of classes, fine detail), a model that is right on validation images shows
    the signal just as well. Intervals are Bayesian bootstraps over images; a pass may rest on either of the two, so the
    low bounds get half of the error each, a fail needs both.

    Tolerance: 99 % point of shuffled digits, .04, and .05 that the interval of 500 images in ten classes needs around
    it, rounded up: .1. Real data lie above .36.
    """
    from cnnaudit.core.statistics import balanced as scores
    from cnnaudit.core.statistics import permutation_p_value

    rng, p_value, shown = trial.generator(), None, []
    asked: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    probe = _probe(target, trial)
    if probe is not None:
        asked["a simple probe"] = (probe.predicted, probe.labels)
        observed = scores.balanced_score(probe.predicted, probe.labels)
        p_value = permutation_p_value(observed, probe.null)
        label = "balanced accuracy above chance"
        null = evidence.null_distribution("The probe on shuffled labels", probe.null[:1000], observed, label=label)
        shown.append(null)
    if "validation" in target.splits and len(np.unique(trial.sample("validation")[1])) > 1:
        asked["the model"] = (
            trial.predictions("validation").argmax(1).numpy(),
            _labels(trial.sample("validation"), "validation"),
        )
    if not asked:
        raise UnsupportedError("predicting the label needs images of two classes, at least 5 of each")
    points = {who: scores.balanced_score(*answers) for who, answers in asked.items()}
    low_at, high_at = trial.among(len(asked)).confidence, trial.confidence
    bounds = [
        (scores.balanced_interval(*answers, low_at, rng)[0], scores.balanced_interval(*answers, high_at, rng)[1])
        for answers in asked.values()
    ]
    rows = [[who, f"{points[who]:.3f}", f"{low:.3f} to {high:.3f}"] for who, (low, high) in zip(asked, bounds)]
    shown.append(evidence.table("Who predicts the label (0: chance, 1: perfect)", ["", "reached", "interval"], rows))
    return trial.judge(
        max(points.values()),
        (max(low for low, _ in bounds), max(high for _, high in bounds)),
        n=max(len(labels) for _, labels in asked.values()),
        p_value=p_value,
        summary="From the image alone, "
        + " and ".join(f"{who} comes {point:.0%}" for who, point in points.items())
        + " of the way from chance to perfect labels.",
        evidence=shown,
    )


def _probe(target: AuditTarget, trial: Trial) -> Probe | None:
    """The probe on training images (else validation images), at most 2,000; None where it cannot be asked."""
    from cnnaudit.checks.dataset._filters import filter_features
    from cnnaudit.checks.dataset._probes import MOST, ask_probe
    from cnnaudit.checks.dataset._scan import few, scan

    split = "train" if "train" in target.splits else "validation"
    whole = scan(target, split, trial.profile.megapixels, trial.seed)
    seen = few(whole, min(trial.profile.images or MOST, MOST))
    if min(seen.thumbnails.shape[2:]) < 3 or len(np.unique(seen.labels)) < 2:
        return None
    return ask_probe(filter_features(seen.thumbnails), seen.labels, trial.resamples, trial.generator("probe"))


def _labels(sample: tuple[torch.Tensor, torch.Tensor], split: str) -> np.ndarray:
    """The labels of a sample, refused where they are of fewer than two classes."""
    labels: np.ndarray = sample[1].numpy()
    found = len(np.unique(labels))
    if found < 2:
        raise UnsupportedError(f"telling classes apart needs images of two of them in data.{split}, found {found}")
    return labels


def _locations(names: Sequence[str], values: np.ndarray, worst: int, bad: np.ndarray) -> list[Location]:
    """The worst class, then up to nine others that are bad as well."""
    others = [k for k in range(len(names)) if bad[k] and k != worst]
    return [Location(float(values[k]), class_name=names[k]) for k in [worst, *others[:9]]]
