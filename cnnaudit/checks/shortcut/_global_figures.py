"""What a finding about a global cue says and shows: its sentences, the table of classes, images with the cue put in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence

if TYPE_CHECKING:
    from cnnaudit.checks.shortcut._global import Judged
    from cnnaudit.cues import Cue, Sample

PER_CLASS = "There and used, per class"
_SHOWN = 200
_NAMED = 5


def summary(name: str, context: CheckContext, judged: Judged, worst: int) -> str:
    """What was found, and which classes were not judged, in whole sentences."""
    classes = context.target.classes
    best = int(np.argmax(judged.there.auc))
    told = f"'{classes[int(judged.there.classes[best])]}' best, AUC {judged.there.auc[best]:.2f}"
    if worst in judged.used:
        effect = judged.used[worst]
        at = float(judged.there.auc[judged.there.classes == worst][0])
        text = (
            f"The {name} alone tells '{classes[worst]}' from the rest with an AUC of {at:.2f}; given to "
            f"{effect.recipients} images of other classes it makes {effect.share:.0%} of them '{classes[worst]}' "
            f"(controls {_largest(effect.own, effect.third):.0%})."
        )
    elif judged.open:
        text = f"The {name} tells a class from the rest ({told}), and no use of it was measured."
    else:
        text = f"The {name} alone tells no class from the rest ({told})."
    return f"{text}{_not_judged(classes, judged)}"


def hint(name: str, context: CheckContext, judged: Judged, worst: int) -> str:
    """The cause, in one sentence."""
    return (
        f"The model goes by the {name} of '{context.target.classes[worst]}': images of other classes that are given "
        f"it become '{context.target.classes[worst]}' (gain {judged.used[worst].value:.2f})."
    )


def per_class(name: str, classes: Sequence[str], judged: Judged, tolerance: float) -> Evidence:
    """One row per class: AUC with interval, gain with interval, what it says."""
    columns = ("class", "there (AUC)", "there, interval", "used (gain)", "used, interval", "change of P", "verdict")
    rows: list[list[Any]] = []
    for k, auc, low, high in zip(judged.there.classes.tolist(), judged.there.auc, judged.there.low, judged.there.high):
        effect = judged.used.get(k)
        bounds = None if effect is None else (effect.low, effect.high, tolerance)
        state = _state((low, high, judged.least), bounds)
        there = [classes[k], round(float(auc), 3), f"{low:.2f} to {high:.2f}"]
        used: list[Any] = [None, "", None]
        if effect:
            used = [round(effect.value, 3), f"{effect.low:.2f} to {effect.high:.2f}", round(effect.probability, 3)]
        rows.append([*there, *used, judged.open.get(k) or state])
    rare = {k: why for k, why in judged.open.items() if k not in judged.there.classes}
    missing: list[list[Any]] = [[classes[k], None, "", None, "", None, why] for k, why in rare.items()]
    rows.sort(key=lambda row: (-(row[3] if isinstance(row[3], float) else -2.0), -(row[1] or 0)))
    return evidence.table(f"{PER_CLASS}: {name}", columns, [*rows, *missing][:_SHOWN])


def pictures(context: CheckContext, cue: Cue, k: int, samples: tuple[Sample, Sample]) -> list[Evidence]:
    """Images of other classes, as they are and with the cue of a donor, with what the model says of each."""
    given, donors = samples
    from_class = donors.part(np.flatnonzero(donors.labels == k))
    n = min(len(given), len(from_class))
    if not n or given.images.shape[1] not in (1, 3):
        return []
    ours, theirs = given.images[:n], from_class.images[:n]
    changed = cue.transplant(ours, theirs)
    said = [context.target.logits(images).double().softmax(1).numpy() for images in (ours, changed)]
    shown, captions = [], []
    for row in range(n):
        shown += [ours[row], theirs[row], changed[row]]
        before, after = (_answer(context.target.classes, probabilities[row]) for probabilities in said)
        captions += [before, f"whose {cue.name}: '{context.target.classes[k]}'", after]
    title = f"Images, donors, and the images with the donors' {cue.name}: what the model says"
    return [evidence.images(title, np.stack([image.numpy() for image in shown]), captions)]


def _answer(classes: Sequence[str], probabilities: np.ndarray) -> str:
    best = int(probabilities.argmax())
    return f"{classes[best]} {probabilities[best]:.2f}"


def _state(there: tuple[float, float, float], used: tuple[float, float, float] | None) -> str:
    """What the two intervals say together: (low, high, tolerance) of each."""
    if there[1] <= there[2] or used is None:
        return "not there"
    if used[0] > used[2]:
        return "there and used" if there[0] > there[2] else "used, perhaps there"
    return "there, not used" if used[1] <= used[2] else "there, use undecided"


def _largest(*controls: float) -> float:
    """The larger control; NaN is none."""
    return max((value for value in controls if value == value), default=0.0)


def _not_judged(classes: Sequence[str], judged: Judged) -> str:
    """The classes that were not judged, by reason."""
    reasons: dict[str, list[str]] = {}
    for k, why in judged.open.items():
        reasons.setdefault(why, []).append(f"'{classes[k]}'")
    told = [
        f"{', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''} ({why})"
        for why, names in reasons.items()
    ]
    return f" Not judged: {'; '.join(told)}." if told else ""
