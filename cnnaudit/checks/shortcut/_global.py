"""What the five global cues share: which classes a cue tells, and whether the model follows it, within one budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator
from cnnaudit.target.config_keys import CUES

if TYPE_CHECKING:
    from cnnaudit.cues import Availability, Cue, Effect, Sample
    from cnnaudit.target import AuditTarget

#: A cue whose one-against-rest AUC is at most this is not there: no model gets far with it. Where the audit file claims
#: independence, less is enough.
THERE = 0.8
CLAIMED = 0.7
#: Forward passes of all global cues together at quick, those of the pictures included.
PASSES = 400
_PICTURES = 4
_ARMS = 4  # the images as they are, with the cue, and with that of the two controls
_FEWEST, _MOST = 10, 60  # recipients of one class
_MEGAPIXELS = 50  # read of each split at quick
_BATCH = 64
STATISTIC = "share of other classes' images that follow the cue, beyond controls, in the class that uses it most"
UNIT = "0: no cue is there or used; 1: every image follows it"
REMEDY = (
    "Give all classes the same {} (collect, crop, convert or augment them alike) and train again; a new data set that "
    "lacks the cue shows what the model is worth without it."
)


@dataclass(frozen=True, eq=False)
class Halves:
    """Positions in a split and labels of the images that availability reads, and of those that confirm the use."""

    there: tuple[np.ndarray, np.ndarray]
    used: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of one cue on one target.

    Attributes:
        there: per class, how well the cue tells it.
        used: the effect of the classes that were searched for use.
        open: why a class was not judged, by class: it is no pass.
        least: the AUC above which the cue is there.
    """

    there: Availability
    used: Mapping[int, Effect]
    open: Mapping[int, str]
    least: float

    def counted(self, k: int) -> tuple[float, float, float]:
        """Gain that counts, low bound, high bound: 0 where the cue is not there, no low bound where that is open."""
        if k in self.open:
            return 0.0, 0.0, 1.0
        if k not in self.used:
            return 0.0, 0.0, 0.0
        effect, at = self.used[k], int(np.flatnonzero(self.there.classes == k)[0])
        sure = self.there.low[at] > self.least
        low, value, high = (max(number, 0.0) for number in (effect.low, effect.value, effect.high))
        return value, low if sure else 0.0, high


def named(name: str) -> Cue:
    """The cue of that name."""
    from cnnaudit import cues

    makers: dict[str, type[Cue]] = {
        "color": cues.Color,
        "tone": cues.Tone,
        "spectrum": cues.Spectrum,
        "noise": cues.Noise,
        "compression": cues.Compression,
    }
    return makers[name]()


def claimed(name: str, target: AuditTarget) -> bool:
    """Whether the audit file says that the classifier is independent of the cue."""
    return name in target.claims.independent_of


def least(name: str, target: AuditTarget) -> float:
    """The AUC above which a cue is there on this target."""
    return CLAIMED if claimed(name, target) else THERE


def judge_cue(context: CheckContext, name: str) -> Finding:
    """The finding of one cue: `Judged`, the worst class, the pictures of an alarm."""
    from cnnaudit.checks.shortcut import _global_figures as figures

    judged = search(context, name)
    classes = sorted({*judged.there.classes.tolist(), *judged.open})
    counted = {k: judged.counted(k) for k in classes}
    worst = max(classes, key=lambda k: (counted[k][1], counted[k][0], k in judged.used))
    value, low, _ = counted[worst]
    high = max(bounds[2] for bounds in counted.values())
    alarm = low > context.tolerance
    finding = context.judge(
        value,
        (low, high),
        n=judged.used[worst].recipients if worst in judged.used else sum(map(len, _halves(context)["train"].there[:1])),
        summary=figures.summary(name, context, judged, worst),
        hint=figures.hint(name, context, judged, worst) if alarm else "",
        locations=[
            Location(float(effect.value), class_name=context.target.classes[k])
            for k, effect in sorted(judged.used.items(), key=lambda item: -item[1].value)
        ],
        evidence=[
            figures.per_class(name, context.target.classes, judged, context.tolerance),
            *(figures.pictures(context, named(name), worst, _samples(context, worst, _PICTURES)) if alarm else ()),
        ],
    )
    # More images are not what would decide: more forward passes are, and a longer profile has them.
    return replace(finding, needed_n=None)


def search(context: CheckContext, name: str) -> Judged:
    """Which classes the cue tells and, of those that the budget covers, which the model follows.

    Raises:
        UnsupportedError: the cue cannot be read from such images, or too few classes have images enough.
    """
    from cnnaudit.cues import Model, availability, gain
    from cnnaudit.cues.availability import FEWEST

    train, validation = (_features(context, split)[name] for split in ("train", "validation"))
    if isinstance(train, str) or isinstance(validation, str):
        raise UnsupportedError(str(train if isinstance(train, str) else validation))
    halves, bound = _halves(context), least(name, context.target)
    labels = {split: of.there[1] for split, of in halves.items()}
    there = availability(
        (train, labels["train"]), (validation, labels["validation"]), context.generator("there"), context.confidence
    )
    recipients, plan = context.remember("global cues: plan", lambda: _plan(context))
    asked = plan.get(name, ())
    each = context.among(len(asked))
    used: dict[int, Effect] = {}
    left = dict.fromkeys(_rare(halves, there), f"fewer than {2 * FEWEST} images in a split")
    for k, high in zip(there.classes.tolist(), there.high):
        if k in asked:
            given, donors = _samples(context, k, recipients)
            try:
                used[k] = gain(
                    Model(context.target.logits),
                    named(name),
                    k,
                    given,
                    donors,
                    context.generator("use", k),
                    most=recipients,
                    confidence=each.confidence,
                    high_confidence=context.confidence,
                    resamples=context.resamples,
                )
            except UnsupportedError as reason:
                left[k] = str(reason)
        elif high > bound:
            left[k] = f"beyond the {_budget(context):,} forward passes of this profile"
    return Judged(there, used, left, bound)


def there_only(context: CheckContext, features: Mapping[str, np.ndarray]) -> tuple[Availability, dict[str, np.ndarray]]:
    """Availability of a cue that cannot be transplanted, from both splits' first halves; with the labels."""
    from cnnaudit.cues import availability

    labels = {split: of.there[1] for split, of in _halves(context).items()}
    parts = [(features[split], labels[split]) for split in ("train", "validation")]
    return availability(parts[0], parts[1], context.generator("there"), context.confidence), labels


def read_in_halves(
    context: CheckContext, split: str, read: Callable[[AuditTarget, str, np.ndarray], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """The columns that `read` gives of the first half of a split, batch by batch."""
    rows = _halves(context)[split].there[0]
    parts = [read(context.target, split, rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _plan(context: CheckContext) -> tuple[int, Mapping[str, tuple[int, ...]]]:
    """Recipients of each search, and the classes to search for each cue: claimed cues first, best-told classes first.

    Every cue gets its best-told class before any gets its second; few candidates share the budget among them.
    """
    from cnnaudit.cues import availability

    halves = _halves(context)
    candidates: list[tuple[bool, int, float, str, int]] = []
    for name in CUES[:-1]:
        train, validation = (_features(context, split)[name] for split in ("train", "validation"))
        if isinstance(train, str) or isinstance(validation, str):
            continue
        rng = generator(context.seed, context.target.name, "plan", name)
        labels = {split: of.there[1] for split, of in halves.items()}
        try:
            there = availability((train, labels["train"]), (validation, labels["validation"]), rng)
        except UnsupportedError:
            continue
        order = np.argsort(-there.auc, kind="stable")
        candidates += [
            (not claimed(name, context.target), place, -float(there.auc[at]), name, int(there.classes[at]))
            for place, at in enumerate(order)
            if there.high[at] > least(name, context.target)
        ]
    budget = _budget(context) - 2 * _PICTURES * (len(CUES) - 1)
    chosen = sorted(candidates)[: budget // (_ARMS * _FEWEST)]
    recipients = min(_MOST, budget // (_ARMS * max(len(chosen), 1)))
    return recipients, {name: tuple(k for *_, cue, k in chosen if cue == name) for name in CUES}


def _budget(context: CheckContext) -> int:
    """Forward passes of all global cues together, in proportion to the profile's images."""
    return PASSES * (context.profile.images or 8_000) // 500


def _rare(halves: Mapping[str, Halves], there: Availability) -> list[int]:
    """Classes that have images, but too few to be judged."""
    present = np.unique(np.concatenate([of.there[1] for of in halves.values()]))
    return [int(k) for k in np.setdiff1d(present, there.classes)]


def _halves(context: CheckContext) -> Mapping[str, Halves]:
    """Per split the images of both halves, each with half of every class."""
    return context.remember("global cues: halves", lambda: {s: _halved(context, s) for s in ("train", "validation")})


def _halved(context: CheckContext, split: str) -> Halves:
    target, images = context.target, context.profile.images
    height, width = target.input.size
    most = None if images is None else max(images, min(4 * images, _MEGAPIXELS * 1_000_000 // (height * width)))
    rows = target.draw(split, most, context.seed)
    labels = np.asarray(target.split(split).labels)[rows]
    order = generator(context.seed, target.name, "global cues", split).permutation(len(rows))
    order = order[np.argsort(labels[order], kind="stable")]
    first, second = np.sort(order[::2]), np.sort(order[1::2])
    return Halves((rows[first], labels[first]), (rows[second], labels[second]))


def _features(context: CheckContext, split: str) -> Mapping[str, np.ndarray | str]:
    """What each cue reads of the first half, (n, F), or why it cannot; the images are read once for all of them."""
    return context.remember(f"global cues: features of {split}", lambda: _read(context, split))


def _read(context: CheckContext, split: str) -> Mapping[str, np.ndarray | str]:
    rows = _halves(context)[split].there[0]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in CUES[:-1]}
    reasons: dict[str, str] = {}
    for start in range(0, len(rows), _BATCH):
        images = context.target.split(split).read(rows[start : start + _BATCH])
        for name in parts:
            if name not in reasons:
                try:
                    parts[name].append(named(name).read(images).double().numpy())
                except UnsupportedError as reason:
                    reasons[name] = str(reason)
    return {name: reasons.get(name) or np.concatenate(found) for name, found in parts.items()}


def _samples(context: CheckContext, k: int, recipients: int) -> tuple[Sample, Sample]:
    """Recipients of other classes, and donors: of the class, and of the recipients' own classes."""
    halves, rng = _halves(context), context.generator("images", k)
    rows, labels = halves["validation"].used
    given = _evenly(labels, np.flatnonzero(labels != k), recipients, rng)
    pool, kinds = halves["train"].used
    own = rng.permutation(np.flatnonzero(kinds == k))[:recipients]
    others = np.flatnonzero(np.isin(kinds, np.unique(labels[given])))
    donors = np.concatenate([own, _evenly(kinds, others, 2 * recipients, rng)])
    return _loaded(context, "validation", rows[given]), _loaded(context, "train", pool[donors])


def _loaded(context: CheckContext, split: str, rows: np.ndarray) -> Sample:
    from cnnaudit.cues import Sample

    source = context.target.split(split)
    return Sample(source.read(rows), np.asarray(source.labels)[rows])


def _evenly(labels: np.ndarray, rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, from every class in turn."""
    rows = rng.permutation(rows)
    turn = np.zeros(len(rows), dtype=np.int64)
    for k in np.unique(labels[rows]):
        turn[labels[rows] == k] = np.arange((labels[rows] == k).sum())
    return rows[np.argsort(turn, kind="stable")][:most]
