"""Search the windows that a model may go by on one half of the images, confirm the best on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.constancy import Constancy, Pattern, constancy
from cnnaudit.cues.protocol import Cue
from cnnaudit.cues.use import FEWEST, Effect, Model, Sample, gain, loss
from cnnaudit.cues.window import Window, largest_side, window_around, window_grid

#: Classes with fewer training images are not judged.
FEWEST_IMAGES = 50
#: How many of the most constant classes are searched.
MOST_CLASSES = 10
#: Recipients of one window in the search, and the most windows that are tried for one class.
TRIAL = 12
MOST_WINDOWS = 25
_NEAR = 2  # places of the grid that are tried on each side of the constant place


@dataclass(frozen=True, eq=False)
class Found:
    """What the search of a class found.

    Attributes:
        class_index: the class.
        constancy: P(pattern given the class) - the most of any other class.
        cue: the window or patch that was confirmed; None where the class was cleared by its constancy alone.
        effect: its gain on the half of the images that the search did not see; None where the class was cleared.
        removed: its loss there, of images that carry the pattern; None where the class was cleared or has too few.
        tried: what was tried on the search half, and the share of recipients that followed.
    """

    class_index: int
    constancy: float
    cue: Cue | None = None
    effect: Effect | None = None
    removed: Effect | None = None
    tried: tuple[tuple[Cue, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Search:
    """All that a search found.

    Attributes:
        found: what was judged, by class: cleared by its constancy, or confirmed with a gain.
        not_judged: why a class was not judged, by class; no pass.
        passes: forward passes that were asked of the model.
        constancy: the patterns and maps of all classes; None of patches anywhere.
    """

    found: Mapping[int, Found]
    not_judged: Mapping[int, str]
    passes: int
    constancy: Constancy | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something that the images of a class share.

    Attributes:
        constancy: P(an image shows it given the class) - the most of any other class.
        carriers: images -> which show it, bool (N,).
    """

    constancy: float
    carriers: Callable[[Tensor], Tensor]


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


Propose = Callable[[int, "Trial"], tuple[Cue, tuple[tuple[Cue, float], ...]]]


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


def search_windows(
    model: Model,
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    *,
    most: int = 60,
    confidence: float = 0.95,
) -> Search:
    """Which window of the image gives a class away and moves predictions to it, for every class.

    1. Constancy on both splits. Classes within `tolerance` are cleared by it alone; of the others the ten most constant
       are searched, as far as the model's budget reaches.
    2. On the search half: the window around the constant place, then a grid around it and over the image, all of the
       largest size that covers at most 5 % of the image, each with 12 recipients.
    3. On the other half, with other donors and other recipients: the gain of the window that most recipients followed.

    Donors carry the class's pattern, so that a tag in half of a class is given in all transplants.

    Args:
        model: its budget is respected; the confirmation of a class costs at most 7 `most` passes.
        train: donors. validation: recipients.
        classes: K.
        tolerance: of constancy.

    Raises:
        UnsupportedError: images too small for a window, or fewer than two classes to compare.
    """
    height, width = train.images.shape[2:]
    side = largest_side(height, width)
    measured = constancy(
        (train.images, torch.as_tensor(train.labels)), (validation.images, torch.as_tensor(validation.labels)), classes
    )
    candidates = {
        k: Candidate(measured.value(k), measured.patterns[k].carriers if k in measured.patterns else nobody)
        for k in measured.classes
    }

    def propose(class_index: int, trial: Trial) -> tuple[Cue, tuple[tuple[Cue, float], ...]]:
        return _best_window(measured.patterns[class_index], side, height, width, trial)

    halves = Halves.of(train, validation, rng)
    found, not_judged, passes = search_classes(
        model, halves, candidates, classes, tolerance, propose, rng, most=most, confidence=confidence
    )
    return Search(found, not_judged, passes, measured)


def search_classes(
    model: Model,
    halves: Halves,
    candidates: Mapping[int, Candidate],
    classes: int,
    tolerance: float,
    propose: Propose,
    rng: np.random.Generator,
    *,
    most: int,
    confidence: float,
) -> tuple[dict[int, Found], dict[int, str], int]:
    """Searches each class whose constancy is beyond the tolerance: found, why others were not judged, passes."""
    start = model.passes
    sizes = sum(np.bincount(half.labels, minlength=classes) for half in (halves.search_donors, halves.confirm_donors))
    found: dict[int, Found] = {}
    not_judged = {k: "no images in one of the splits" for k in range(classes) if k not in candidates}
    searched = 0
    for k, candidate in sorted(candidates.items(), key=lambda pair: -pair[1].constancy):
        value = candidate.constancy
        if sizes[k] < FEWEST_IMAGES:
            not_judged[k] = f"{sizes[k]} training images; at least {FEWEST_IMAGES} are needed"
        elif value <= tolerance:
            found[k] = Found(k, value)
        elif searched >= MOST_CLASSES:
            not_judged[k] = f"constancy {value:.2f}; only the {MOST_CLASSES} most constant classes are searched"
        elif not model.affords(7 * most + 2 * TRIAL):
            not_judged[k] = (
                f"constancy {value:.2f}; {model.left} forward passes are left of the budget, "
                f"{7 * most + 2 * TRIAL} are needed"
            )
        else:
            searched += 1
            try:
                cue, tried = propose(k, _trial(model, k, candidate, halves, most, rng))
                found[k] = _confirmed(model, k, candidate, cue, halves, most, confidence, rng, tried)
            except UnsupportedError as error:
                not_judged[k] = f"constancy {value:.2f}; {error}"
    return found, not_judged, model.passes - start


def _confirmed(
    model: Model,
    class_index: int,
    candidate: Candidate,
    cue: Cue,
    halves: Halves,
    most: int,
    confidence: float,
    rng: np.random.Generator,
    tried: tuple[tuple[Cue, float], ...],
) -> Found:
    """Gain and loss of the cue on the half of the images that the search did not see."""
    parts = (halves.confirm_recipients, halves.confirm_donors)
    gained = gain(model, cue, class_index, *parts, rng, most=most, carriers=candidate.carriers, confidence=confidence)
    try:
        lost = loss(model, cue, class_index, *parts, rng, most=most, carriers=candidate.carriers, confidence=confidence)
    except UnsupportedError:
        lost = None
    return Found(class_index, candidate.constancy, cue, gained, lost, tried)


def _best_window(
    pattern: Pattern, side: int, height: int, width: int, trial: Trial
) -> tuple[Window, tuple[tuple[Cue, float], ...]]:
    """The window that most recipients follow; the constant place unless another is clearly better."""
    row, column = pattern.center
    step = max(side // 2, 1)
    offsets = sorted(product(range(-_NEAR, _NEAR + 1), repeat=2), key=lambda at: max(map(abs, at)))
    near = [window_around(row + step * down, column + step * right, side, height, width) for down, right in offsets]
    windows = list(dict.fromkeys([*near, *window_grid(height, width, side)]))[: trial.windows]
    if not windows:
        return near[0], ()
    tried = tuple((window, trial.followed(window)) for window in windows)
    best, share = max(tried, key=lambda pair: pair[1])
    # The best of many draws is high by chance: another place must beat the constant one by two recipients of twelve.
    return (best if share > tried[0][1] + 2 / TRIAL else windows[0]), tried


def _trial(
    model: Model, class_index: int, candidate: Candidate, halves: Halves, most: int, rng: np.random.Generator
) -> Trial:
    """Twelve recipients and as many donors from the search half, and how many windows the budget lets them try."""
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
    # A third of what the confirmation leaves, so that the classes to come have their share.
    spare = MOST_WINDOWS if model.left is None else (model.left - 7 * most) // (3 * TRIAL)
    return Trial(model, class_index, recipients.part(elsewhere), donors, max(0, min(MOST_WINDOWS, spare)))


def nobody(images: Tensor) -> Tensor:
    """No image carries the pattern of a class that has none."""
    return torch.zeros(len(images), dtype=torch.bool, device=images.device)
