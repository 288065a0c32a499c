"""Does a model go by a cue? Put the cue of one class into images of others and count the predictions that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.protocol import Cue, PlacedCue

#: The fewest recipients and the fewest donors that a gain is measured with.
FEWEST = 5


@dataclass(frozen=True, eq=False)
class Effect:
    """What transplanting a cue does to predictions.

    Attributes:
        cue: its name.
        class_index: the class whose cue was given (gain) or taken away (loss).
        value: share of recipients that follow the cue, less the larger control; in [-1, 1].
        low, high: bootstrap interval over recipients and donors.
        share: share of recipients that follow the cue, controls not subtracted.
        own, third: the controls: the cue of another image of the recipient's own class, and of a third class or, with
            two classes, of another place. NaN where there is none.
        probability: mean change of P(class), less the larger control.
        recipients, donors: how many images were used.
        carriers: share of the class's donors that carry the found pattern; NaN where none was asked for.
    """

    cue: str
    class_index: int
    value: float
    low: float
    high: float
    share: float
    own: float
    third: float
    probability: float
    recipients: int
    donors: int
    carriers: float = float("nan")


@dataclass(frozen=True, eq=False)
class _Arm:
    """One row per recipient: whether it followed, the change of P(class), and which donor it had; NaN: no such arm."""

    followed: np.ndarray
    change: np.ndarray
    donor: np.ndarray


def gain(
    model: Model,
    cue: Cue,
    class_index: int,
    recipients: Sample,
    donors: Sample,
    rng: np.random.Generator,
    *,
    most: int = 90,
    carriers: Callable[[Tensor], Tensor] | None = None,
    confidence: float = 0.95,
    high_confidence: float | None = None,
    resamples: int = 1_000,
) -> Effect:
    """How many images of other classes become a class when they are given its cue, beyond two controls.

    gain = P(predicted k | cue of class k) - max(P(predicted k | cue of another image of the own class), P(predicted k |
    cue of a third class)). Recipients that are predicted k already are left out. With two classes the second control
    is, for a cue with a place, what the same donors show at another place.

    Args:
        model: at most 4 `most` forward passes are asked of it.
        class_index: k.
        recipients: images of the validation split; those of class k are left out.
        donors: images of the training split.
        most: recipients, drawn evenly from the other classes.
        carriers: images -> bool (N,); donors of class k for which it is False are left out, see `Pattern.carriers`.
        high_confidence: of the upper bound; that all of many classes are inside needs no correction, a failure does.
        resamples: of the two bootstraps, over recipients and over donors; the wider interval counts.

    Raises:
        UnsupportedError: fewer than 5 recipients or donors, or the budget does not hold.

    Example:
        >>> import torch
        >>> from cnnaudit.cues import Window
        >>> images = torch.zeros(40, 1, 28, 28)
        >>> images[20:, :, 3:6, 3:6] = 1
        >>> sample = Sample(images, np.repeat([0, 1], 20))
        >>> tagged = Model(lambda x: torch.stack([0.5 - x[:, 0, 4, 4], x[:, 0, 4, 4] - 0.5], dim=1) * 20)
        >>> gain(tagged, Window(2, 2, 5, 5), 1, sample, sample, np.random.default_rng(0)).value
        1.0
    """
    others = np.flatnonzero(recipients.labels != class_index)
    rows = evenly(recipients.labels, others, most, rng)
    refuse_few(len(rows), "images of other classes", cue, class_index)
    before = model.probabilities(recipients.part(rows).images)
    kept = before.argmax(axis=1) != class_index
    taken, before = recipients.part(rows[kept]), before[kept, class_index]
    refuse_few(len(taken), f"images of other classes that are not predicted {class_index} already", cue, class_index)
    own_donors, share = carrying(donors, class_index, carriers)
    refuse_few(len(own_donors), "donors" + (" that carry the pattern" if carriers else ""), cue, class_index)

    def ask(change: Callable[[Tensor, Tensor], Tensor], chosen: np.ndarray) -> _Arm:
        valid = chosen >= 0
        followed, moved = np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
        if valid.any():
            some = taken.part(np.flatnonzero(valid))
            after = model.probabilities(change(some.images, donors.part(chosen[valid]).images))
            followed[valid] = after.argmax(axis=1) == class_index
            moved[valid] = after[:, class_index] - before[valid]
        return _Arm(followed, moved, chosen)

    given = dealt(own_donors, len(taken), rng)
    treated = ask(cue.transplant, given)
    own = ask(cue.transplant, matched(taken.labels, donors.labels, rng))
    third = third_class(taken.labels, donors.labels, class_index, rng)
    if (third >= 0).any():
        other = ask(cue.transplant, third)
    elif isinstance(cue, PlacedCue):
        other = ask(cue.transplant_elsewhere, given)
    else:
        other = ask(cue.transplant, third)
    arms, bounds = (treated, own, other), (confidence, high_confidence or confidence)
    return _effect(cue.name, class_index, arms, len(own_donors), share, rng, bounds, resamples)


def loss(
    model: Model,
    cue: Cue,
    class_index: int,
    recipients: Sample,
    donors: Sample,
    rng: np.random.Generator,
    *,
    most: int = 90,
    carriers: Callable[[Tensor], Tensor] | None = None,
    confidence: float = 0.95,
    resamples: int = 1_000,
) -> Effect:
    """How many images of a class are no longer predicted as it when its cue is replaced, beyond a control.

    loss = P(not predicted k | cue of another class) - P(not predicted k | cue of another image of class k), over the
    validation images of class k that are predicted k; a third of them have the control, which costs 2 1/3 forward
    passes an image and one for each of the others. Honest content is lost easily and given hardly: the loss says
    what a class rests on, the gain whether the cue alone suffices.

    Args, raises: as `gain`; `carriers` picks recipients and the control's donors, those that show the pattern.
    """
    rows, share = carrying(recipients, class_index, carriers)
    rows = rng.permutation(rows)[:most]
    refuse_few(len(rows), "validation images", cue, class_index)
    before = model.probabilities(recipients.part(rows).images)
    kept = before.argmax(axis=1) == class_index
    taken, before = recipients.part(rows[kept]), before[kept, class_index]
    refuse_few(len(taken), f"validation images predicted {class_index}", cue, class_index)
    same, _ = carrying(donors, class_index, carriers)
    other = np.flatnonzero(donors.labels != class_index)
    refuse_few(min(len(same), len(other)), "donors", cue, class_index)
    arms: list[_Arm] = []
    for pool, n in ((evenly(donors.labels, other, len(other), rng), len(taken)), (same, -(-len(taken) // 3))):
        chosen = np.full(len(taken), -1)
        chosen[:n] = dealt(pool, n, rng)
        left, moved = np.full(len(taken), np.nan), np.full(len(taken), np.nan)
        after = model.probabilities(cue.transplant(taken.images[:n], donors.part(chosen[:n]).images))
        left[:n], moved[:n] = after.argmax(axis=1) != class_index, before[:n] - after[:, class_index]
        arms.append(_Arm(left, moved, chosen))
    nothing = np.full(len(taken), np.nan)
    absent = _Arm(nothing, nothing, np.full(len(taken), -1))
    found, bounds = (arms[0], arms[1], absent), (confidence, confidence)
    return _effect(cue.name, class_index, found, len(other), share, rng, bounds, resamples)


def carrying(sample: Sample, class_index: int, carriers: Callable[[Tensor], Tensor] | None) -> tuple[np.ndarray, float]:
    """Rows of the class's images, those that carry the pattern, and their share."""
    rows = np.flatnonzero(sample.labels == class_index)
    if carriers is None or not len(rows):
        return rows, float("nan")
    carry = carriers(sample.part(rows).images).cpu().numpy()
    return rows[carry], float(carry.mean())


def refuse_few(found: int, what: str, cue: Cue, class_index: int) -> None:
    """Refuses fewer than 5 images.

    Raises:
        UnsupportedError: says how many of what there are.
    """
    if found < FEWEST:
        where = f"use of {cue.name} for class {class_index}"
        raise UnsupportedError(f"{where}: expected at least {FEWEST} {what}, found {found}")


def evenly(labels: np.ndarray, rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, in an order that takes from every class in turn."""
    rows = rng.permutation(rows)
    turn = np.zeros(len(rows), dtype=np.int64)
    for k in np.unique(labels[rows]):
        same = labels[rows] == k
        turn[same] = np.arange(same.sum())
    return rows[np.argsort(turn, kind="stable")][:most]


def dealt(pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """A donor for each of n recipients; none is used again before all were used."""
    return np.concatenate([rng.permutation(pool) for _ in range(-(-n // len(pool)))])[:n]


def matched(labels: np.ndarray, donors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each recipient a donor of its own class, -1 where there is none."""
    chosen = np.full(len(labels), -1)
    for k in np.unique(labels):
        pool = np.flatnonzero(donors == k)
        if len(pool):
            chosen[labels == k] = dealt(pool, int((labels == k).sum()), rng)
    return chosen


def third_class(labels: np.ndarray, donors: np.ndarray, class_index: int, rng: np.random.Generator) -> np.ndarray:
    """For each recipient a donor that is neither of its own class nor of `class_index`, -1 where there is none."""
    chosen = np.full(len(labels), -1)
    for k in np.unique(labels):
        pool = np.flatnonzero((donors != k) & (donors != class_index))
        if len(pool):
            own = labels == k
            chosen[own] = dealt(evenly(donors, pool, int(own.sum()), rng), int(own.sum()), rng)
    return chosen


def _effect(
    cue: str,
    class_index: int,
    arms: tuple[_Arm, _Arm, _Arm],
    donors: int,
    carriers: float,
    rng: np.random.Generator,
    confidences: tuple[float, float],
    resamples: int,
) -> Effect:
    """Treated less the larger control, with the wider of two bootstraps: over recipients, and over donors.

    Each recipient has one donor. Resampling both at once would count the chance of each pair three times (Owen, The
    pigeonhole bootstrap, 2007); a donor that serves many recipients counts in the second.
    """
    from scipy.stats import t

    n = len(arms[0].followed)
    shares = [float(_mean(arm.followed, np.ones((1, n)))[0]) for arm in arms]
    changes = [float(_mean(arm.change, np.ones((1, n)))[0]) for arm in arms]
    recipients = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    over_recipients = [_mean(arm.followed, recipients) for arm in arms]
    over_donors = [_mean(arm.followed, _donor_weights(arm.donor, resamples, rng)) for arm in arms]
    spread = max(float(np.nanstd(of[0] - np.fmax(of[1], of[2]), ddof=1)) for of in (over_recipients, over_donors))
    if not np.isfinite(shares[1:]).any():
        raise UnsupportedError(f"use of {cue} for class {class_index}: the classes of the recipients have no donors")
    value = float(shares[0] - np.fmax(shares[1], shares[2]))
    fewest = min(n, len(np.unique(arms[0].donor)))
    # A bootstrap of an outcome that never occurred has no spread, though its rate may be a few percent (Jeffreys).
    rate = (shares[0] * n + 0.5) / (n + 1)
    error = max(spread, float(np.sqrt(rate * (1 - rate) / n)))
    below, above = (float(t.ppf((1 + of) / 2, max(fewest - 1, 1))) * error for of in confidences)
    return Effect(
        cue,
        class_index,
        value,
        max(value - below, -1.0),
        min(value + above, 1.0),
        shares[0],
        shares[1],
        shares[2],
        changes[0] - float(np.fmax(changes[1], changes[2])),
        n,
        donors,
        carriers,
    )


def _donor_weights(donor: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each recipient's donor was drawn: (resamples, n)."""
    names, index = np.unique(donor, return_inverse=True)
    m = len(names)
    weights: np.ndarray = rng.multinomial(m, np.full(m, 1 / m), size=resamples)[:, index].astype(float)
    return weights


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis, recipients without a value left out; NaN where none has one: (resamples,)."""
    known = np.isfinite(values)
    weights = weights[:, known]
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = weights @ values[known] / total
    return mean
