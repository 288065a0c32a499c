"""The worst position of a model and that of the same model with other padding: the search and the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cnnaudit.checks.padding._moved_content import Grid, Size, Stimulus
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import proportion_p_value
from cnnaudit.core.statistics.paired import paired_drop_interval


@dataclass(frozen=True, slots=True)
class Version:
    """The audited model with its own padding or with other padding, and the size of its images.

    Attributes:
        padding: in words, such as `replicate padding`.
        logits: answers (N, K) to images (N, C, *size).
    """

    padding: str
    logits: Callable[[torch.Tensor], torch.Tensor]
    size: Size

    def probabilities(self, stimuli: Sequence[Stimulus], grid: Grid) -> np.ndarray:
        """Of each stimulus' own class at every position of the grid, row after row: (N, P)."""
        found = []
        for stimulus in progress(stimuli, f"blind spot: {self.padding}", len(stimuli)):
            images = [grid.image(stimulus, position, self.size) for position in range(grid.positions)]
            found.append(self.logits(torch.stack(images)).double().softmax(1)[:, stimulus.label].numpy())
        return np.stack(found)

    def classes(self, stimuli: Sequence[Stimulus], grid: Grid, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """The classes read from the stimuli, each at its own position: int64 (N,)."""
        images = [grid.image(stimulus, int(place), self.size) for stimulus, place in zip(stimuli, positions)]
        answer: np.ndarray = self.logits(torch.stack(images)).argmax(1).numpy()
        return answer


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """The model at its worst position, and the control at the control's worst position, on fresh stimuli.

    Attributes:
        position, control_position: the worst ones of the grid.
        control: the version with the other padding.
        searched: (N, P), probability of the true class that the model gives the stimuli of the search.
        truth, here, other: classes (M,) of the fresh stimuli: true, read at the position, and read elsewhere.
        control_here: classes (M,) that the control reads at its worst position.
        elsewhere: in words, where `other` was read.
    """

    position: int
    control_position: int
    control: Version
    searched: np.ndarray
    truth: np.ndarray
    here: np.ndarray
    other: np.ndarray
    control_here: np.ndarray
    elsewhere: str

    @property
    def repaired(self) -> np.ndarray:
        """Stimuli that the model recognizes elsewhere but not at its worst position; the control does: bool (M,)."""
        lost = (self.other == self.truth) & (self.here != self.truth)
        return np.asarray(lost & (self.control_here == self.truth))

    @property
    def broken(self) -> np.ndarray:
        """Stimuli that the model recognizes at its worst position; the control does not at its own: bool (M,)."""
        return np.asarray((self.here == self.truth) & (self.control_here != self.truth))

    @property
    def cost(self) -> float:
        """(repaired - broken) / M, the accuracy at the worst position that the model's own padding costs."""
        return float(self.repaired.mean() - self.broken.mean())

    def interval(self, confidence: float) -> tuple[float, float]:
        """Of the cost."""
        return paired_drop_interval(int(self.repaired.sum()), int(self.broken.sum()), len(self.truth), confidence)

    @property
    def p_value(self) -> float:
        """Exact sign test of 'the control repairs no more than it breaks' (McNemar 1947)."""
        repaired = int(self.repaired.sum())
        return proportion_p_value(repaired, repaired + int(self.broken.sum()), 0.5)

    def accuracies(self) -> tuple[float, float, float]:
        """Of the model at its worst position and elsewhere, and of the control at the control's worst position."""
        here, other, control = (float((c == self.truth).mean()) for c in (self.here, self.other, self.control_here))
        return here, other, control


def find_blind_spot(
    model: Version,
    controls: Sequence[Version],
    stimuli: Sequence[Stimulus],
    grid: Grid,
    *,
    searched: int,
    rng: np.random.Generator,
) -> BlindSpot:
    """Search the worst position of the model and of each control, and compare them on fresh stimuli.

    The control whose worst position is best is compared. It is asked at its own worst position, so that a control which
    only misses content elsewhere explains nothing. The stimuli that measure have no part in the search, so where
    padding does not matter the cost is 0 on average, however many positions were searched. Each is also asked at
    another position, drawn at random; where most of those are missed, at the position where the model does best, so
    that a model that sees one place only is not let off.

    Args:
        grid: the positions, as `grid_for` gives them.
        searched: how many of the stimuli search.
        rng: draws the other positions.

    Raises:
        UnsupportedError: even at the best position the accuracy is less than half way from chance to 1: a model that
            recognizes such stimuli nowhere says nothing about places.

    Source: Alsallakh et al., Mind the Pad, ICLR 2021 (arXiv 2010.02178), whose maps show a detector's score for a
    stimulus at every position, with even and uneven padding.
    """
    own = model.probabilities(stimuli[:searched], grid)
    position = int(own.mean(0).argmin())
    fresh = stimuli[searched:]
    truth = np.array([stimulus.label for stimulus in fresh])
    enough = (1 + np.bincount(truth).max() / len(truth)) / 2
    others = (position + rng.integers(1, grid.positions, len(fresh))) % grid.positions
    other, elsewhere = model.classes(fresh, grid, others), "elsewhere"
    if np.mean(other == truth) < enough:
        best = int(own.mean(0).argmax())
        other, elsewhere = model.classes(fresh, grid, [best] * len(fresh)), grid.words(best)
        if np.mean(other == truth) < enough:
            raise UnsupportedError(
                f"even where it does best, the model recognizes the content of only {np.sum(other == truth)} of "
                f"{len(truth)} images on an empty background (always naming the commonest class: {2 * enough - 1:.0%}),"
                " so it cannot be said where it fails to"
            )
    means = [version.probabilities(stimuli[:searched], grid).mean(0) for version in controls]
    chosen = int(np.argmax([mean.min() for mean in means]))
    control, control_position = controls[chosen], int(means[chosen].argmin())
    return BlindSpot(
        position=position,
        control_position=control_position,
        control=control,
        searched=own,
        truth=truth,
        here=model.classes(fresh, grid, [position] * len(fresh)),
        other=other,
        control_here=control.classes(fresh, grid, [control_position] * len(fresh)),
        elsewhere=elsewhere,
    )
