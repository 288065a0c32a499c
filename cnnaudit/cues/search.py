"""Search what a class shares and a model may go by on one half of the images, confirm it on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.excess import Excess
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.placed import given, removed
from cnnaudit.cues.protocol import PlacedCue
from cnnaudit.cues.use import FEWEST, Effect

#: Classes with fewer training or validation images are not judged.
FEWEST_TRAIN, FEWEST_VALIDATION = 50, 20
#: How many of the most constant classes are searched.
MOST_CLASSES = 10
#: Recipients of one window in the search, and the most windows that are tried for one class.
TRIAL = 12
MOST_WINDOWS = 25
#: The search of windows takes at most a twelfth of the forward passes: what is left must decide.
PART = 12
#: Forward passes of one class without a budget. A budget is shared evenly, each class with at least a third of these.
PASSES = 450


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
        note: why the class was cleared, where it was not by its constancy.
    """

    class_index: int
    constancy: Excess
    cue: PlacedCue | None = None
    effect: Effect | None = None
    removed: Effect | None = None
    tried: tuple[tuple[PlacedCue, float], ...] = ()
    note: str = ""

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

    def _repr_html_(self) -> str:
        """What a notebook shows: per class whether its pattern is there and used."""
        from cnnaudit.core.notebook import table_html

        columns = ["class", "constancy", "elsewhere", "used", "from", "to", "not judged"]
        rows: list[list[object]] = [
            [k, found.constancy.share, found.constancy.elsewhere, *found.use, None] for k, found in self.found.items()
        ]
        rows += [[k, None, None, None, None, None, reason] for k, reason in self.not_judged.items()]
        return table_html(columns, sorted(rows, key=lambda row: int(str(row[0]))))


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
    """Donors and recipients of the search and of the confirmation; no image is in two of them.

    The search has half of the training images, the confirmation the other half and all validation images: what a model
    goes by is asked of images that it has not learned.
    """

    search_donors: Sample
    confirm_donors: Sample
    search_recipients: Sample
    confirm_recipients: Sample

    @classmethod
    def of(cls, train: Sample, validation: Sample, rng: np.random.Generator) -> Halves:
        """The training split with each class halved; half of the search's half receives."""
        first, second = train.halves(rng)
        donors, recipients = first.halves(rng)
        return cls(donors, second, recipients, validation)

    @property
    def search(self) -> tuple[Sample, Sample]:
        """The two parts that candidates are found on."""
        return self.search_donors, self.search_recipients

    @property
    def confirm(self) -> tuple[Sample, Sample]:
        """The two parts that they are measured on, of both splits."""
        return self.confirm_donors, self.confirm_recipients


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is known before a model is asked.

    Attributes:
        halves: the images of the search and of the confirmation.
        candidates: what each class shares most, by class.
        not_judged: why a class was not judged, by class.
        tolerance: of constancy.
        maps: constancy of single pixels by class, (K, h, w); None of patches anywhere.
        cleared: why a class need not be searched though it is constant, by class.
    """

    halves: Halves
    candidates: Mapping[int, Candidate]
    not_judged: Mapping[int, str]
    tolerance: float
    maps: Tensor | None = None
    cleared: Mapping[int, str] = field(default_factory=dict)

    def judged(self) -> list[int]:
        """The classes, the most constant first. Of two only that one: gain for one is loss for the other."""
        order = sorted(self.candidates, key=lambda k: -self.candidates[k].constancy.value)
        return order[: 1 if len(order) == 2 else None]

    def beyond(self) -> list[int]:
        """Those whose constancy may be beyond the tolerance."""
        constant = (k for k in self.judged() if self.candidates[k].constancy.high > self.tolerance)
        return [k for k in constant if k not in self.cleared]


@dataclass(frozen=True, eq=False)
class Trial:
    """A few recipients of other classes, none predicted the class, with donors that carry its pattern."""

    model: Model
    class_index: int
    recipients: Sample
    donors: Sample
    windows: int

    def followed(self, cue: PlacedCue) -> float:
        """The share of recipients that become the class when given the cue."""
        after = self.model.probabilities(cue.transplant(self.recipients.images, self.donors.images))
        return float((after.argmax(axis=1) == self.class_index).mean())


Propose = Callable[[Candidate, "Trial | None"], tuple[PlacedCue, tuple[tuple[PlacedCue, float], ...]]]


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
    prepared: Prepared,
    propose: Propose,
    rng: np.random.Generator,
    passes: int,
    confidence: float,
) -> Search:
    """Searches each class whose constancy may be beyond the tolerance: what was found, why others were not judged."""
    candidates, halves, start = prepared.candidates, prepared.halves, model.passes
    beyond = prepared.beyond()
    found = {
        k: Found(k, candidates[k].constancy, note=prepared.cleared.get(k, ""))
        for k in prepared.judged()
        if k not in beyond
    }
    each, reached = _shared(passes, min(len(beyond), MOST_CLASSES), model.left)
    # A class fails by its gain or its loss; it passes where neither is beyond, which needs no correction.
    bounds = {"confidence": 1 - (1 - confidence) / (2 * max(reached, 1)), "high_confidence": confidence}
    not_judged = dict(prepared.not_judged)
    for number, k in enumerate(beyond):
        value = f"constancy {candidates[k].constancy.value:.2f}"
        if number >= MOST_CLASSES:
            not_judged[k] = f"{value}; only the {MOST_CLASSES} most constant classes are searched"
        elif number >= reached:
            not_judged[k] = f"{value}; {each} forward passes are needed and {model.left} are left of the budget"
        else:
            try:
                end = model.passes + each
                windows = min(MOST_WINDOWS, each // (PART * TRIAL))
                trial = _trial(model, k, candidates[k], halves, windows, rng) if windows > 1 else None
                cue, tried = propose(candidates[k], trial)
                found[k] = _confirmed(model, k, candidates[k], cue, halves, end - model.passes, bounds, rng, tried)
            except UnsupportedError as error:
                not_judged[k] = f"{value}; {error}"
    return Search(found, not_judged, model.passes - start, candidates, halves, prepared.maps)


def _shared(passes: int, classes: int, left: int | None) -> tuple[int, int]:
    """Forward passes for each of so many classes, and how many of them the budget reaches with a third of `passes`."""
    if left is None or not classes:
        return passes, classes
    reached = min(classes, 3 * left // passes)
    return (left // reached if reached else passes // 3), reached


def _confirmed(
    model: Model,
    class_index: int,
    candidate: Candidate,
    cue: PlacedCue,
    halves: Halves,
    passes: int,
    bounds: Mapping[str, float],
    rng: np.random.Generator,
    tried: tuple[tuple[PlacedCue, float], ...],
) -> Found:
    """Gain and loss of the cue on images that the search did not see; the loss has half of the forward passes."""

    def measure(effect: Callable[..., Effect], most: int) -> Effect | None:
        parts = (halves.confirm_recipients, halves.confirm_donors)
        try:
            return effect(model, cue, class_index, *parts, rng, passes=most, carriers=candidate.carriers, **bounds)
        except UnsupportedError as error:
            reasons.append(str(error))
            return None

    reasons: list[str] = []
    end = model.passes + passes
    lost = measure(removed, passes // 2)
    gained = measure(given, end - model.passes)
    if gained is None and lost is None:
        raise UnsupportedError("; ".join(reasons))
    return Found(class_index, candidate.constancy, cue, gained, lost, tried)


def _trial(
    model: Model, class_index: int, candidate: Candidate, halves: Halves, windows: int, rng: np.random.Generator
) -> Trial:
    """Twelve recipients and as many donors from the search half, for so many windows."""
    rows = np.flatnonzero(halves.search_donors.labels == class_index)
    rows = rows[candidate.carriers(halves.search_donors.part(rows).images).cpu().numpy()]
    if len(rows) < FEWEST:
        raise UnsupportedError(
            f"expected at least {FEWEST} donors that carry the pattern in the search half, found {len(rows)}"
        )
    others = np.flatnonzero(halves.search_recipients.labels != class_index)
    recipients = halves.search_recipients.part(rng.permutation(others)[: 2 * TRIAL])
    elsewhere = np.flatnonzero(model.probabilities(recipients.images).argmax(axis=1) != class_index)[:TRIAL]
    if not len(elsewhere):
        raise UnsupportedError(f"every image of the search half is predicted {class_index}")
    donors = halves.search_donors.part(np.resize(rng.permutation(rows), len(elsewhere)))
    return Trial(model, class_index, recipients.part(elsewhere), donors, windows)


def nobody(images: Tensor) -> Tensor:
    """No image carries the pattern of a class that has none."""
    return torch.zeros(len(images), dtype=torch.bool, device=images.device)
