"""Search what a class shares and a model may go by on one half of the images, confirm it on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.excess import Excess
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.protocol import Cue
from cnnaudit.cues.use import FEWEST, Effect, gain, loss

#: Classes with fewer training or validation images are not judged.
FEWEST_TRAIN, FEWEST_VALIDATION = 50, 20
#: How many of the most constant classes are searched.
MOST_CLASSES = 10
#: Recipients of one window in the search, and the most windows that are tried for one class.
TRIAL = 12
MOST_WINDOWS = 25


@dataclass(frozen=True)
class Effort:
    """How many images a confirmation uses.

    Attributes:
        gains: recipients of the gain, 4 forward passes each.
        losses: recipients of the loss, 2 1/3 forward passes each; 0: it is not measured.
    """

    gains: int = 60
    losses: int = 120

    @property
    def passes(self) -> int:
        """The most forward passes of one class, its smallest search included."""
        return 4 * self.gains + 2 * self.losses + -(-self.losses // 3) + 2 * TRIAL

    def shared(self, classes: int, left: int | None) -> tuple[Effort, int]:
        """The effort for each of so many classes, at least a third of this one, and how many of them it reaches."""
        if left is None or not classes:
            return self, classes
        reached = min(classes, max(1, left // max(self._part(1 / 3).passes, 1)))
        part = min(1.0, max(1 / 3, left / reached / self.passes))
        while part > 1 / 3 and self._part(part).passes * reached > left:
            part -= 0.02
        return self._part(part), reached

    def _part(self, share: float) -> Effort:
        losses = max(FEWEST, round(share * self.losses)) if self.losses else 0
        return Effort(max(FEWEST, round(share * self.gains)), losses)


@dataclass(frozen=True, eq=False)
class Found:
    """What the search of a class found.

    Attributes:
        class_index: the class.
        constancy: of the pattern, on the half of the images that the search did not see.
        cue: the window or patch that was confirmed; None where the class was cleared by its constancy alone.
        effect: its gain on that half; None where the class was cleared.
        removed: its loss there, of images that carry the pattern; None where the class was cleared or has too few.
        tried: what was tried on the search half, and the share of recipients that followed.
    """

    class_index: int
    constancy: Excess
    cue: Cue | None = None
    effect: Effect | None = None
    removed: Effect | None = None
    tried: tuple[tuple[Cue, float], ...] = ()

    @property
    def use(self) -> tuple[float, float, float]:
        """The larger of gain and loss, and of their lower and upper bounds; zeros where the class was cleared."""
        effects = [effect for effect in (self.effect, self.removed) if effect is not None]
        if not effects:
            return 0.0, 0.0, 0.0
        return max(e.value for e in effects), max(e.low for e in effects), max(e.high for e in effects)


@dataclass(frozen=True, eq=False)
class Search:
    """All that a search found.

    Attributes:
        found: what was judged, by class: cleared by its constancy, or confirmed with its use.
        not_judged: why a class was not judged, by class; no pass.
        passes: forward passes that were asked of the model.
        candidates: the pattern or patch that each class shares most, by class.
        halves: the images of the search and of the confirmation.
        maps: constancy of single pixels by class, (K, h, w); None of patches anywhere.
    """

    found: Mapping[int, Found]
    not_judged: Mapping[int, str]
    passes: int
    candidates: Mapping[int, Candidate]
    halves: Halves
    maps: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something that the images of a class share.

    Attributes:
        constancy: how much more often than any other class, on images that did not find it.
        carriers: images -> which show it, bool (N,).
        pattern: what it is, a `Pattern` or a `Patch`.
    """

    constancy: Excess
    carriers: Callable[[Tensor], Tensor]
    pattern: object


@dataclass(frozen=True, eq=False)
class Halves:
    """Donors and recipients of the search and of the confirmation; no image is in two of them."""

    search_donors: Sample
    confirm_donors: Sample
    search_recipients: Sample
    confirm_recipients: Sample

    @classmethod
    def of(cls, train: Sample, validation: Sample, rng: np.random.Generator) -> Halves:
        """Both splits, each class halved."""
        return cls(*train.halves(rng), *validation.halves(rng))

    @property
    def search(self) -> tuple[Sample, Sample]:
        """The half that candidates are found on, of both splits."""
        return self.search_donors, self.search_recipients

    @property
    def confirm(self) -> tuple[Sample, Sample]:
        """The half that they are measured on, of both splits."""
        return self.confirm_donors, self.confirm_recipients


@dataclass(frozen=True, eq=False)
class Trial:
    """A few recipients of other classes, none predicted the class, with donors that carry its pattern."""

    model: Model
    class_index: int
    recipients: Sample
    donors: Sample
    windows: int

    def followed(self, cue: Cue) -> float:
        """The share of recipients that become the class when given the cue."""
        after = self.model.probabilities(cue.transplant(self.recipients.images, self.donors.images))
        return float((after.argmax(axis=1) == self.class_index).mean())


Propose = Callable[[Candidate, "Trial"], tuple[Cue, tuple[tuple[Cue, float], ...]]]


def judged_classes(train: Sample, validation: Sample, classes: int) -> tuple[Sample, Sample, dict[int, str]]:
    """The images of the classes that have enough of them, and why the other classes are not judged.

    Raises:
        UnsupportedError: fewer than two classes have 50 training and 20 validation images.
    """
    n, m = (np.bincount(split.labels, minlength=classes) for split in (train, validation))
    reasons = {}
    for k in range(classes):
        if n[k] < FEWEST_TRAIN:
            reasons[k] = f"{n[k]} training images; at least {FEWEST_TRAIN} are needed"
        elif m[k] < FEWEST_VALIDATION:
            reasons[k] = f"{m[k]} validation images; at least {FEWEST_VALIDATION} are needed"
    if classes - len(reasons) < 2:
        raise UnsupportedError(
            f"{classes - len(reasons)} of {classes} classes have at least {FEWEST_TRAIN} training and "
            f"{FEWEST_VALIDATION} validation images among those that this profile reads; two are needed to compare"
        )
    kept = (split.part(np.flatnonzero(~np.isin(split.labels, list(reasons)))) for split in (train, validation))
    return *kept, reasons  # type: ignore[return-value]


def search_classes(
    model: Model,
    halves: Halves,
    candidates: Mapping[int, Candidate],
    tolerance: float,
    propose: Propose,
    rng: np.random.Generator,
    effort: Effort,
    confidence: float,
) -> tuple[dict[int, Found], dict[int, str]]:
    """Searches each class whose constancy may be beyond the tolerance: what was found, why others were not judged.

    Of two classes only the more constant is asked: gain for one is loss for the other.
    """
    order = sorted(candidates, key=lambda k: -candidates[k].constancy.value)[: 1 if len(candidates) == 2 else None]
    found = {k: Found(k, candidates[k].constancy) for k in order if candidates[k].constancy.high <= tolerance}
    beyond = [k for k in order if k not in found]
    effort, reached = effort.shared(min(len(beyond), MOST_CLASSES), model.left)
    joint = 1 - (1 - confidence) / (2 * max(reached, 1))  # gain and loss of each class
    not_judged = {}
    for number, k in enumerate(beyond):
        value = f"constancy {candidates[k].constancy.value:.2f}"
        if number >= MOST_CLASSES:
            not_judged[k] = f"{value}; only the {MOST_CLASSES} most constant classes are searched"
        elif number >= reached or not model.affords(effort.passes):
            not_judged[k] = (
                f"{value}; {effort.passes} forward passes are needed and {model.left} are left of the budget"
            )
        else:
            try:
                trial = _trial(model, k, candidates[k], halves, effort, rng)
                cue, tried = propose(candidates[k], trial)
                found[k] = _confirmed(model, k, candidates[k], cue, halves, effort, joint, rng, tried)
            except UnsupportedError as error:
                not_judged[k] = f"{value}; {error}"
    return found, not_judged


def _confirmed(
    model: Model,
    class_index: int,
    candidate: Candidate,
    cue: Cue,
    halves: Halves,
    effort: Effort,
    confidence: float,
    rng: np.random.Generator,
    tried: tuple[tuple[Cue, float], ...],
) -> Found:
    """Gain and loss of the cue on the half of the images that the search did not see."""

    def measure(effect: Callable[..., Effect], most: int) -> Effect | None:
        parts = (halves.confirm_recipients, halves.confirm_donors)
        try:
            return effect(
                model, cue, class_index, *parts, rng, most=most, carriers=candidate.carriers, confidence=confidence
            )
        except UnsupportedError as error:
            reasons.append(str(error))
            return None

    reasons: list[str] = []
    gained = measure(gain, effort.gains)
    lost = measure(loss, effort.losses) if effort.losses else None
    if gained is None and lost is None:
        raise UnsupportedError("; ".join(reasons))
    return Found(class_index, candidate.constancy, cue, gained, lost, tried)


def _trial(
    model: Model, class_index: int, candidate: Candidate, halves: Halves, effort: Effort, rng: np.random.Generator
) -> Trial:
    """Twelve recipients and as many donors from the search half, and how many windows the budget lets them try."""
    rows = np.flatnonzero(halves.search_donors.labels == class_index)
    rows = rows[candidate.carriers(halves.search_donors.part(rows).images).cpu().numpy()]
    if len(rows) < FEWEST:
        raise UnsupportedError(
            f"expected at least {FEWEST} donors that carry the pattern in the search half, found {len(rows)}"
        )
    # What the confirmation leaves, shared with the classes to come.
    left = model.left
    spare = MOST_WINDOWS if left is None else (left - effort.passes) // (3 * TRIAL)
    others = np.flatnonzero(halves.search_recipients.labels != class_index)
    recipients = halves.search_recipients.part(rng.permutation(others)[: 2 * TRIAL])
    elsewhere = np.flatnonzero(model.probabilities(recipients.images).argmax(axis=1) != class_index)[:TRIAL]
    if not len(elsewhere):
        raise UnsupportedError(f"every image of the search half is predicted {class_index}")
    donors = halves.search_donors.part(np.resize(rng.permutation(rows), len(elsewhere)))
    return Trial(model, class_index, recipients.part(elsewhere), donors, max(0, min(MOST_WINDOWS, spare)))


def nobody(images: Tensor) -> Tensor:
    """No image carries the pattern of a class that has none."""
    return torch.zeros(len(images), dtype=torch.bool, device=images.device)
