"""Search the windows of the image that give a class away and that a model may go by."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from cnnaudit.cues.constancy import constancy
from cnnaudit.cues.excess import excess
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.pattern import EXACT, Pattern
from cnnaudit.cues.protocol import PlacedCue
from cnnaudit.cues.search import (
    PASSES,
    TRIAL,
    Candidate,
    Halves,
    Prepared,
    Search,
    Trial,
    judged_classes,
    nobody,
    search_classes,
)
from cnnaudit.cues.window import Window, largest_side, window_around, window_grid

_NEAR = 2  # places of the grid that are tried on each side of the constant place
_SHARED, _MORE = 0.95, 0.3


def search_windows(
    model: Model,
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    *,
    passes: int = PASSES,
    confidence: float = 0.95,
) -> Search:
    """Which window of the image gives a class away and moves predictions to it, for every class.

    1. On half of the training images: the pattern that each class shares most, `constancy`. On the other half and the
       validation images: how constant it is, `excess`. Classes within `tolerance` are cleared by it alone; of the
       others the ten most constant are searched, as far as the model's budget reaches.
    2. On the search half: the window of the pattern, then a grid around it and over the image, of the largest size
       that covers at most 5 % of the image, each with 12 recipients, as far as a twelfth of the forward passes reaches.
    3. On the other half and all validation images: gain and loss (`given`, `removed`) of the window that most
       recipients followed.

    Donors carry the class's pattern, so that a tag in half of a class is given in all transplants.

    Args:
        model: its budget is respected.
        passes: forward passes of one class; of a budget each class has an equal part, of at least a third of these.
        train: donors. validation: recipients.
        classes: K.
        tolerance: of constancy.

    Raises:
        UnsupportedError: images too small for a window, or fewer than two classes with images enough to compare.
    """
    prepared = prepare_windows(train, validation, classes, tolerance, rng, confidence)
    return confirm_windows(model, prepared, rng, passes=passes, confidence=confidence)


def prepare_windows(
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Prepared:
    """The first step of `search_windows`, which asks no model."""
    largest_side(*train.images.shape[2:])
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
    return Prepared(halves, candidates, not_judged, tolerance, measured.maps)


def confirm_windows(
    model: Model, prepared: Prepared, rng: np.random.Generator, *, passes: int = PASSES, confidence: float = 0.95
) -> Search:
    """The other steps of `search_windows`."""
    height, width = prepared.halves.search_donors.images.shape[2:]
    side = largest_side(height, width)

    def propose(candidate: Candidate, trial: Trial | None) -> tuple[PlacedCue, tuple[tuple[PlacedCue, float], ...]]:
        assert isinstance(candidate.pattern, Pattern)  # a class without one is cleared by its constancy
        found = extent(candidate.pattern, prepared.halves.search_donors, side)
        return (found, ()) if trial is None else _best_window(found, candidate.pattern, side, height, width, trial)

    return search_classes(model, prepared, propose, rng, passes, confidence)


def extent(pattern: Pattern, sample: Sample, side: int) -> Window:
    """The smallest window that holds the pixels that carriers of a pattern share and other classes do not have.

    A pixel is shared where at least .95 of the carriers are within .02 of their median, and .3 fewer of the images of
    other classes; it is sought in the window of `side` around the pattern's center. Where there is none, as with tags
    that were compressed, it is the pattern's box.

    Args:
        sample: images of all classes, of which some carry the pattern.
    """
    around = window_around(*pattern.center, side, *sample.images.shape[2:])
    own = sample.part(np.flatnonzero(sample.labels == pattern.class_index)).images
    own = around.read(own[pattern.carriers(own)])
    other = around.read(sample.part(np.flatnonzero(sample.labels != pattern.class_index)).images)
    top, left, bottom, right = pattern.box
    if len(own):
        usual = own.median(dim=0).values
        shared = [((part - usual).abs() <= EXACT).to(usual.dtype).mean(dim=0) for part in (own, other)]
        wanted = ((shared[0] >= _SHARED) & (shared[0] - shared[1] > _MORE)).view(-1, side, side).any(dim=0)
        rows, columns = torch.nonzero(wanted, as_tuple=True)
        if len(rows):
            top, bottom = around.top + int(rows.min()), around.top + int(rows.max())
            left, right = around.left + int(columns.min()), around.left + int(columns.max())
    return Window(top, left, min(bottom - top + 1, side), min(right - left + 1, side))


def _best_window(
    found: Window, pattern: Pattern, side: int, height: int, width: int, trial: Trial
) -> tuple[Window, tuple[tuple[PlacedCue, float], ...]]:
    """The window that most recipients follow; the pattern's own unless another is clearly better."""
    row, column = pattern.center
    step = max(side // 2, 1)
    offsets = sorted(product(range(-_NEAR, _NEAR + 1), repeat=2), key=lambda at: max(map(abs, at)))
    near = [window_around(row + step * down, column + step * right, side, height, width) for down, right in offsets]
    windows = list(dict.fromkeys([found, *near, *window_grid(height, width, side)]))[: trial.windows]
    tried = tuple((window, trial.followed(window)) for window in windows)
    best, share = max(tried, key=lambda pair: pair[1])
    # The best of many draws is high by chance: another place must beat the constant one by four recipients of twelve.
    return (best if share > tried[0][1] + 4 / TRIAL else windows[0]), tried
