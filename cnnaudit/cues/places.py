"""Search the windows of the image that give a class away and that a model may go by."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from cnnaudit.cues.constancy import constancy
from cnnaudit.cues.excess import excess
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.pattern import Pattern
from cnnaudit.cues.protocol import Cue
from cnnaudit.cues.search import TRIAL, Candidate, Effort, Halves, Search, Trial, judged_classes, nobody, search_classes
from cnnaudit.cues.window import Window, largest_side, window_around, window_grid

_NEAR = 2  # places of the grid that are tried on each side of the constant place


def search_windows(
    model: Model,
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    *,
    effort: Effort | None = None,
    confidence: float = 0.95,
) -> Search:
    """Which window of the image gives a class away and moves predictions to it, for every class.

    1. On one half of both splits: the pattern that each class shares most, `constancy`. On the other half: how constant
       it is, `excess`. Classes within `tolerance` are cleared by it alone; of the others the ten most constant are
       searched, as far as the model's budget reaches.
    2. On the search half: the window around the constant place, then a grid around it and over the image, all of the
       largest size that covers at most 5 % of the image, each with 12 recipients.
    3. On the other half: gain and loss of the window that most recipients followed.

    Donors carry the class's pattern, so that a tag in half of a class is given in all transplants.

    Args:
        model: its budget is respected.
        train: donors. validation: recipients.
        classes: K.
        tolerance: of constancy.

    Raises:
        UnsupportedError: images too small for a window, or fewer than two classes with images enough to compare.
    """
    height, width = train.images.shape[2:]
    side = largest_side(height, width)
    train, validation, not_judged = judged_classes(train, validation, classes)
    halves = Halves.of(train, validation, rng)
    donors, recipients = halves.search
    measured = constancy(
        (donors.images, torch.as_tensor(donors.labels)),
        (recipients.images, torch.as_tensor(recipients.labels)),
        classes,
    )
    joint = 1 - (1 - confidence) / len(measured.classes)
    candidates = {}
    for k in measured.classes:
        pattern = measured.patterns.get(k)
        carriers = pattern.carriers if pattern else nobody
        candidates[k] = Candidate(excess(carriers, halves.confirm, k, joint, confidence), carriers, pattern)

    def propose(candidate: Candidate, trial: Trial) -> tuple[Cue, tuple[tuple[Cue, float], ...]]:
        assert isinstance(candidate.pattern, Pattern)  # a class without one is cleared by its constancy
        return _best_window(candidate.pattern, side, height, width, trial)

    start = model.passes
    found, why = search_classes(model, halves, candidates, tolerance, propose, rng, effort or Effort(), confidence)
    return Search(found, {**not_judged, **why}, model.passes - start, candidates, halves, measured.maps)


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
