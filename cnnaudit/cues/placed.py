"""Does a model go by a cue that has a place? Give it and take it away, and ask no more than what the answer needs.

An image counts only where several questions have the same answer, and it is asked the next one only while it still
counts: a pattern that is not used costs little more than one forward pass an image, so that hundreds can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.protocol import PlacedCue
from cnnaudit.cues.use import Effect, carrying, dealt, evenly, matched, refuse_few, third_class

#: Images that are asked together.
_BATCH = 32
#: A question: which of the images (by position), and whether they must then be predicted the class.
Question = tuple[Callable[[np.ndarray], Tensor], bool]


def given(
    model: Model,
    cue: PlacedCue,
    class_index: int,
    recipients: Sample,
    donors: Sample,
    rng: np.random.Generator,
    *,
    passes: int,
    carriers: Callable[[Tensor], Tensor],
    confidence: float = 0.95,
    high_confidence: float | None = None,
) -> Effect:
    """How many images of other classes become a class when they are given its cue, and only then.

    An image counts where it is predicted k with the cue of class k, and neither as it is, nor with the cue of another
    image of its own class, nor with that of a third class; with two classes, with what the same donors show elsewhere.
    The interval is the exact one of a share.

    Args:
        class_index: k.
        recipients: images that the search did not see; those of class k are left out.
        donors: those of class k that `carriers` picks give the cue.
        passes: forward passes that it may take; it ends with the images.
        high_confidence: of the upper bound, where it is not that of the lower one.

    Raises:
        UnsupportedError: fewer than 5 recipients or donors, or no forward passes for 5 images.
    """
    rows = evenly(recipients.labels, np.flatnonzero(recipients.labels != class_index), len(recipients), rng)
    refuse_few(len(rows), "images of other classes", cue, class_index)
    own_donors, share = carrying(donors, class_index, carriers)
    refuse_few(len(own_donors), "donors that carry the pattern", cue, class_index)
    taken = recipients.part(rows)
    chosen = dealt(own_donors, len(rows), rng)
    own = matched(taken.labels, donors.labels, rng)
    third = third_class(taken.labels, donors.labels, class_index, rng)

    def with_cue(at: np.ndarray) -> Tensor:
        return cue.transplant(taken.part(at).images, donors.part(chosen[at]).images)

    def with_own(at: np.ndarray) -> Tensor:
        return cue.transplant(taken.part(at).images, donors.part(own[at]).images)

    def with_third(at: np.ndarray) -> Tensor:
        if (third[at] < 0).any():  # two classes
            return cue.transplant_elsewhere(taken.part(at).images, donors.part(chosen[at]).images)
        return cue.transplant(taken.part(at).images, donors.part(third[at]).images)

    questions = ((with_cue, True), (lambda at: taken.part(at).images, False), (with_own, False), (with_third, False))
    counts = _asked(model, class_index, len(rows), questions, passes, cue)
    return _effect(cue, class_index, counts, len(own_donors), share, confidence, high_confidence)


def removed(
    model: Model,
    cue: PlacedCue,
    class_index: int,
    recipients: Sample,
    donors: Sample,
    rng: np.random.Generator,
    *,
    passes: int,
    carriers: Callable[[Tensor], Tensor],
    confidence: float = 0.95,
    high_confidence: float | None = None,
) -> Effect:
    """How many images of a class that carry a pattern are predicted as it only because of the pattern.

    An image counts where it is predicted k as it is and with the cue of another carrier of class k, and not k both when
    the cue is filled from what surrounds it and when it is replaced by that of another class: however the pattern is
    taken away, the prediction goes with it. This is the recall of the class's carriers that rests on the pattern.

    Args, raises: as `given`; recipients are the images of class k that `carriers` picks.
    """
    rows, share = carrying(recipients, class_index, carriers)
    refuse_few(len(rows), "images that carry the pattern", cue, class_index)
    same, _ = carrying(donors, class_index, carriers)
    other = np.flatnonzero(donors.labels != class_index)
    refuse_few(min(len(same), len(other)), "donors", cue, class_index)
    taken = recipients.part(rng.permutation(rows))
    fitting = other[_most_alike(cue, taken.images, donors.part(other).images)]
    alike = dealt(same, len(taken), rng)
    questions = (
        (lambda at: cue.erase(taken.part(at).images), False),
        (lambda at: taken.part(at).images, True),
        (lambda at: cue.transplant(taken.part(at).images, donors.part(fitting[at]).images), False),
        (lambda at: cue.transplant(taken.part(at).images, donors.part(alike[at]).images), True),
    )
    counts = _asked(model, class_index, len(taken), questions, passes, cue)
    return _effect(cue, class_index, counts, len(other), share, confidence, high_confidence)


def _most_alike(cue: PlacedCue, images: Tensor, donors: Tensor) -> np.ndarray:
    """For each image the donor whose surroundings of the cue's place are nearest to its own: (N,)."""
    around, other = (cue.surroundings(of).float() for of in (images, donors))
    found: np.ndarray = torch.cdist(around, other).argmin(dim=1).cpu().numpy()
    return found


def _asked(
    model: Model, class_index: int, n: int, questions: Sequence[Question], passes: int, cue: PlacedCue
) -> np.ndarray:
    """How many images were asked, and how many still counted after each question: (1 + questions,)."""
    counts = np.zeros(1 + len(questions), dtype=int)
    end = model.passes + passes
    while counts[0] < n:
        size = min(_BATCH, n - counts[0], (end - model.passes) // len(questions))
        if size < 1:
            break
        left = np.arange(counts[0], counts[0] + size)
        counts[0] += size
        for number, (change, wanted) in enumerate(questions, start=1):
            if len(left):
                answers = model.probabilities(change(left)).argmax(axis=1) == class_index
                left = left[answers == wanted]
            counts[number] += len(left)
    refuse_few(int(counts[0]), f"images within {passes} forward passes", cue, class_index)
    refuse_few(int(counts[0] - counts[1] + counts[2]), "images whose prediction can move", cue, class_index)
    return counts


def _effect(
    cue: PlacedCue,
    class_index: int,
    counts: np.ndarray,
    donors: int,
    carriers: float,
    confidence: float,
    high_confidence: float | None,
) -> Effect:
    """The share that passed all questions, with its exact interval; the controls are what each of the last two took."""
    n, _, moved, second, last = (int(count) for count in counts)
    low, _ = proportion_interval(last, n, confidence)
    _, high = proportion_interval(last, n, high_confidence or confidence)
    controls = ((moved - second) / n, (second - last) / n)
    nan = float("nan")
    return Effect(cue.name, class_index, last / n, low, high, moved / n, *controls, nan, n, donors, carriers)
