"""How small a network suffices? What that says about the data, and about a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.checks.registry import Trial, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding

if TYPE_CHECKING:
    from cnnaudit.checks.minimum_model._frontier import Arrays, Needed, Tried
    from cnnaudit.checks.minimum_model._reproduction import Reproduced
    from cnnaudit.target import AuditTarget

_THESIS = "España (2021), Sensitivity analysis of the CNN learning process using synthetic images, Table I"
_TRAINING_IMAGES = 1_500


@check(
    "dataset.minimum_model",
    question="How few parameters do what this model does on these data?",
    statistic="parameters that reach 95 % of the model's accuracy above chance, over those of the simplest network",
    unit="ratio",
    direction="at_least",
    tolerance=1.4,
    gate=False,
    remedy="Find out which single number of an image gives the class away (brightness, size, an edge, a mark: "
    "dataset.trivial_feature and `python -m cnnaudit search` help) and vary it within each class, or report the "
    "minimum model beside your own: on these data, accuracy says little about what was learned.",
    reference=_THESIS,
    needs=("train", "validation"),
)
def check_minimum_model(target: AuditTarget, trial: Trial) -> Finding:
    """Parameters of the smallest network that nearly does what the model does, over those of the simplest network.

    Ten networks of one filter (2x2 or 3x3; maximum or average pooling; 1, 4 or 16 features; a linear layer) are
    trained in the order of their parameters on the training sample, larger images resized to 32 pixels, 8 seeds of 600
    steps each. An architecture reaches when its best seed by training accuracy has at least chance + .95 (a - chance)
    of the validation sample right, a being the model's accuracy there and chance the most frequent class's share. The
    statistic is its number of parameters over that of one 3x3 filter with one feature (9 C + 1 + 2 K for C channels and
    K classes; 16 for three classes of gray images); where none reaches, that of the largest tried. The interval is a
    bootstrap over validation images (paired with the model's answers) and over seeds.

    Tolerance: networks of one feature have a ratio of at most 1, those of four features and a 3x3 filter of 1.43 or
    more (gray images, two classes), so below 1.4 about one number per image suffices. Clean data lie above it: their
    1 % point is in `baselines/null/`. Two classes that one number does tell apart, such as the digits 0 and 1, fail
    rightly.
    """
    from cnnaudit.checks.minimum_model import _frontier as frontier

    train, validation = (_small(trial.sample(split)) for split in ("train", "validation"))
    truth, classes = validation[1], len(target.classes)
    right = (trial.predictions("validation").argmax(1).numpy() == truth).astype(float)
    chance = float(np.bincount(truth).max() / len(truth))
    if right.mean() - chance < 3 * (chance * (1 - chance) / len(truth)) ** 0.5 or len(np.unique(train[1])) < 2:
        raise UnsupportedError(
            f"the model has {right.mean():.3f} of {len(truth)} validation images right, the most frequent class alone "
            f"{chance:.3f}: there is nothing to reach with fewer parameters"
        )
    size, channels = train[0].shape[2], train[0].shape[1]
    required = chance + frontier.REACHED * (float(right.mean()) - chance)
    networks = frontier.small_networks(size, channels, classes)
    tried = frontier.try_out(networks, train, validation, required, _seeds(trial, frontier.SEEDS))
    found = frontier.needed(tried, right, chance, trial.generator(), trial.resamples, trial.confidence)
    unit = frontier.simplest(size, channels, classes).parameters
    low, high = found.interval
    return trial.judge(
        found.parameters / unit,
        (low / unit, high / unit),
        n=len(truth),
        summary=_minimum_summary(found, tried, float(right.mean()), _parameters(target), (len(train[1]), len(truth))),
        evidence=_minimum_evidence(tried, found, float(right.mean())),
    )


@check(
    "minimum_model.table",
    question="Do networks of at most this model's size reach the accuracy that is claimed, from most starts?",
    statistic="share of fresh seeds that reach the claimed accuracy",
    unit="share of seeds",
    direction="at_least",
    tolerance=0.15,
    gate=False,
    remedy="Give the accuracy with its spread over seeds (median and quartiles), not that of one lucky seed; if no "
    "seed reaches it, look for a difference between the data or the training that was reported and this one.",
    reference=_THESIS,
    needs=("train", "validation"),
)
def check_table(target: AuditTarget, trial: Trial) -> Finding:
    """In how many of 48 fresh seeds a network of at most the model's parameters reaches the claimed accuracy.

    Only asked of models of at most 2,000 parameters. Claimed is the file's `claims.accuracy`, else what the model has
    on the validation sample. Of a few networks of at most the model's size (one 3x3 filter; 1, 4 or 16 features; none
    or 12 hidden neurons), the one most of whose 8 seeds reach the accuracy in training is chosen. Then 48 fresh seeds
    of it, and of the model's own architecture where it can be rebuilt, are trained for 1,200 steps on another draw of
    1,500 training images. The statistic is the larger of the two shares of seeds that reach the accuracy on the
    validation sample, with its exact binomial interval over seeds; it speaks of this draw of images.

    Tolerance: a policy. España trained five seeds of each network: at a share of .13 five seeds contain one that
    reaches the accuracy in half of all tries, 1 - (1 - .13)^5 = .5; rounded up to .15. Below, a claim rests on luck.
    """
    from cnnaudit.checks.minimum_model import _frontier as frontier, _reproduction as reproduction

    own = _parameters(target)
    if not 0 < own <= reproduction.MOST_PARAMETERS:
        raise UnsupportedError(
            f"asked of models of at most {reproduction.MOST_PARAMETERS:,} parameters, this one has {own:,}: see "
            "dataset.minimum_model for how few suffice"
        )
    sample, validation = trial.sample("validation"), _small(trial.sample("validation"))
    claimed = target.claims.accuracy
    if claimed is None:
        claimed = float((trial.predictions("validation").argmax(1) == sample[1]).double().mean())
    draws = [_draw(target, trial, k) for k in (1, 2)]
    size, channels = validation[0].shape[2], validation[0].shape[1]
    networks = reproduction.candidates(own, size, channels, len(target.classes))
    chosen = reproduction.most_promising(networks, draws[0], claimed, _seeds(trial, frontier.SEEDS, "screening"))
    fresh = _seeds(trial, reproduction.FRESH_SEEDS, "fresh")
    found: list[Reproduced] = []
    if chosen is not None:
        found.append(
            reproduction.reproduce(str(chosen), chosen.build, draws[1], validation, chosen.learning_rate, fresh)
        )
    build = reproduction.own_architecture(target.model, sample[0][:4].to(target.device))
    if build is not None:
        found.append(reproduction.reproduce("this model's architecture", build, draws[1], validation, 0.01, fresh))
    if not found:
        raise UnsupportedError(f"no network of the grid has as few as {own} parameters")
    best = max(found, key=lambda one: one.reached(claimed))
    return trial.judge_share(
        best.reached(claimed),
        len(best.validation_accuracy),
        n_unit="seeds",
        summary=_table_summary(found, claimed, own),
        evidence=_table_evidence(found, claimed),
    )


def _small(sample: tuple[Any, Any]) -> Arrays:
    """Images of at most 32 pixels, and labels, as arrays."""
    from cnnaudit.target.shrink import shrink

    return shrink(sample[0]), sample[1].numpy()


def _seeds(trial: Trial, count: int, *labels: str) -> list[int]:
    """Seeds of networks: others for another seed of the run, so that a run's luck is its own."""
    found: list[int] = trial.generator(*labels).integers(0, 2**31, count).tolist()
    return found


def _parameters(target: AuditTarget) -> int:
    return sum(parameter.numel() for parameter in target.model.parameters())


def _draw(target: AuditTarget, trial: Trial, number: int) -> Arrays:
    """Another stratified draw of training images."""
    from cnnaudit.target.shrink import shrink

    rows = target.draw("train", _TRAINING_IMAGES, trial.seed + 1_000 * number)
    split = target.split("train")
    return shrink(split.read(rows)), np.asarray(split.labels)[rows]


def _minimum_summary(
    found: Needed, tried: Sequence[Tried], accuracy: float, parameters: int, images: tuple[int, int]
) -> str:
    of = f"the model's {parameters:,} parameters" if parameters else "the model"
    basis = f"on {images[1]} validation images ({images[0]} training images; best of 8 seeds by training accuracy)"
    if found.smallest is None:
        best = max(tried, key=lambda one: float(one.train_accuracy.max()))
        return (
            f"No network of up to {found.parameters} parameters does what {of} do: the best reaches "
            f"{best.validation_accuracy[best.chosen]:.3f}, the model {accuracy:.3f} {basis}."
        )
    network = found.smallest
    return (
        f"{found.parameters} parameters ({network.architecture}) reach "
        f"{network.validation_accuracy[network.chosen]:.3f} where {of} reach {accuracy:.3f} {basis}."
    )


def _minimum_evidence(tried: Sequence[Tried], found: Needed, accuracy: float) -> list[evidence.Evidence]:
    rows = [
        [
            one.architecture.parameters,
            str(one.architecture),
            round(float(one.train_accuracy.max()), 4),
            round(float(one.validation_accuracy[one.chosen]), 4),
            f"{int((one.validation_accuracy >= found.required).sum())} of {len(one.validation_accuracy)}",
            round(float(np.median(one.validation_accuracy)), 4),
        ]
        for one in tried
    ]
    names = ("parameters", "network", "training", "validation", "seeds that reach it", "median seed")
    title = f"The networks tried; asked for {found.required:.3f} (the model has {accuracy:.3f})"
    return [evidence.table(title, names, rows)]


def _table_summary(found: Sequence[Reproduced], claimed: float, own: int) -> str:
    parts = []
    for one in found:
        seeds, middle = len(one.validation_accuracy), float(np.median(one.validation_accuracy))
        parts.append(
            f"{one.reached(claimed)} of {seeds} fresh seeds of {one.name} ({one.parameters} parameters) reach it, the "
            f"median seed {middle:.3f}, the best by training accuracy {one.validation_accuracy[one.best]:.3f}"
        )
    last = found[-1].validation_accuracy
    typical = found[-1].name.startswith("this") and abs(float(np.median(last)) - claimed) < 0.06 < last.max() - claimed
    note = " The claim is what the median seed does, not the most that this architecture can." if typical else ""
    return f"Claimed is {claimed:.3f} with {own:,} parameters: {'; '.join(parts)}.{note}"


def _table_evidence(found: Sequence[Reproduced], claimed: float) -> list[evidence.Evidence]:
    rows = []
    for one in found:
        low, middle, high = np.quantile(one.validation_accuracy, [0.25, 0.5, 0.75])
        rows.append(
            [
                one.name,
                one.parameters,
                f"{one.reached(claimed)} of {len(one.validation_accuracy)}",
                one.dead,
                f"{low:.3f} / {middle:.3f} / {high:.3f}",
                f"{one.train_accuracy.max():.3f} / {one.validation_accuracy[one.best]:.3f}",
            ]
        )
    names = ("network", "parameters", "seeds that reach it", "dead", "quartiles", "best: training / validation")
    return [evidence.table(f"Fresh seeds, against {claimed:.3f}", names, rows)]
