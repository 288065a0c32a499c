"""Whether a small stimulus is recognized wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import permutation_p_value, proportion_interval
from cnnaudit.data.background import backgrounds, content_box

Logits = Callable[[torch.Tensor], torch.Tensor]
Size = tuple[int, int]
GRID = 5  # positions along each side


@dataclass(frozen=True, slots=True)
class Stimulus:
    """The content of one image, cut out, and where necessary made small enough to be moved.

    Attributes:
        pixels: (C, h, w).
        color: (C,), the background that it is put on.
        center: row and column of the content's center in its image, 0 to 1.
        label: its class.
    """

    pixels: torch.Tensor
    color: torch.Tensor
    center: tuple[float, float]
    label: int

    def at(self, top: float, left: float, size: Size) -> torch.Tensor:
        """An image (C, *size) of background with the stimulus' corner at the nearest place where it fits."""
        height, width = self.pixels.shape[-2:]
        row, column = (round(min(max(start, 0), end)) for start, end in zip((top, left), self.room(size)))
        image = self.color[:, None, None].expand(-1, *size).clone()
        image[:, row : row + height, column : column + width] = self.pixels
        return image

    def room(self, size: Size) -> Size:
        """The largest row and column that its corner can have."""
        return size[0] - self.pixels.shape[-2], size[1] - self.pixels.shape[-1]


def stimulus_of(image: torch.Tensor, label: int, claim: float | None = None) -> Stimulus | None:
    """The content of an image (C, H, W) as a stimulus; None where the image is nothing but background.

    Content longer than two thirds of the image is made that small, so that it can be moved; a trained MobileNetV2 still
    reads .60 of photographs at that size, .39 at half of it. Where a claim says by how many pixels content may move,
    it is made smaller only as far as such a move needs.
    """
    color = backgrounds(image[None])[0]
    box = content_box(image, color)
    if box is None:
        return None
    top, bottom, left, right = box
    pixels = image[:, top:bottom, left:right]
    shorter, longest = min(image.shape[-2:]), max(pixels.shape[-2:])
    limit = max(2 * shorter // 3, shorter - int(2 * claim) if claim else 0)
    if longest > limit:
        size = [max(1, round(side * limit / longest)) for side in pixels.shape[-2:]]
        pixels = F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    center = (top + bottom) / 2 / image.shape[-2], (left + right) / 2 / image.shape[-1]
    return Stimulus(pixels, color, center, label)


@dataclass(frozen=True, slots=True)
class Grid:
    """The positions that are compared.

    Attributes:
        rows, columns: `GRID` values each: 0 to 1 over the places where a stimulus fits; or, where `moves`, pixels by
            which it is moved from its own place.
    """

    rows: tuple[float, ...] = tuple(np.linspace(0, 1, GRID).tolist())
    columns: tuple[float, ...] = tuple(np.linspace(0, 1, GRID).tolist())
    moves: bool = False

    def image(self, stimulus: Stimulus, position: int, size: Size) -> torch.Tensor:
        """The stimulus at a position, counted row after row."""
        asked = self.rows[position // GRID], self.columns[position % GRID]
        if self.moves:
            sides = stimulus.pixels.shape[-2:]
            own = [center * whole - side / 2 for center, whole, side in zip(stimulus.center, size, sides)]
            return stimulus.at(own[0] + asked[0], own[1] + asked[1], size)
        room = stimulus.room(size)
        return stimulus.at(asked[0] * room[0], asked[1] * room[1], size)

    def words(self, position: int) -> str:
        """The position in words."""
        row, column = divmod(position, GRID)
        if self.moves:
            return f"moved by {self.rows[row]:+.3g} rows and {self.columns[column]:+.3g} columns"
        vertical = ("at the top", "above the middle", "in the middle", "below the middle", "at the bottom")[row]
        return f"{vertical} {('left', 'center left', 'center', 'center right', 'right')[column]}"


def grid_for(stimuli: Sequence[Stimulus], size: Size, claim: float | None = None) -> Grid:
    """The positions to compare: over the whole image, or what a claim of that many pixels promises.

    A claim promises moves of that many pixels around each image's own place; and where the data's content stands
    anywhere (the 5 % to the 95 % point of its centers is a quarter of the image or more), all of those places, widened
    by the claim.
    """
    if not claim:
        return Grid()
    axes, anywhere = [], True
    for axis in (0, 1):
        low, high = np.quantile([stimulus.center[axis] for stimulus in stimuli], [0.05, 0.95])
        anywhere = anywhere and high - low >= 0.25
        side = float(np.median([stimulus.pixels.shape[1 + axis] for stimulus in stimuli]))
        reach = np.array([low * size[axis] - claim, high * size[axis] + claim]) - side / 2
        first, last = (reach / max(size[axis] - side, 1)).clip(0, 1)
        axes.append(tuple(np.linspace(first, last, GRID).tolist()))
    if anywhere:
        return Grid(axes[0], axes[1])
    around = tuple(np.linspace(-claim, claim, GRID).tolist())
    return Grid(around, around, moves=True)


@dataclass(frozen=True, slots=True)
class PositionScan:
    """Some stimuli at every position of a grid.

    Attributes:
        correct: (N, P) bool, P positions row after row.
        probability: (N, P), of the true class.
    """

    correct: np.ndarray
    probability: np.ndarray

    @property
    def worst(self) -> int:
        """The position where the true class is least probable on average."""
        return int(self.probability.mean(0).argmin())

    @property
    def best(self) -> int:
        """The position where the true class is most probable on average."""
        return int(self.probability.mean(0).argmax())

    def largest_drop(self) -> float:
        """Mean probability of the true class at the best position less that at the worst."""
        return float(np.ptp(self.probability.mean(0)))

    def null(self, resamples: int, rng: np.random.Generator) -> np.ndarray:
        """The largest drop where positions do not matter: each stimulus' values are permuted over the positions.

        The best and the worst position are found anew in each permutation, so that looking at all of them is paid for
        (maximum statistic; Westfall and Young, Resampling-Based Multiple Testing, 1993).
        """
        return np.array([np.ptp(rng.permuted(self.probability, axis=1).mean(0)) for _ in range(resamples)])

    def p_value(self, null: np.ndarray) -> float:
        """Of the hypothesis that no position is better or worse than another."""
        return permutation_p_value(self.largest_drop(), null)


def scan_positions(logits: Logits, stimuli: Sequence[Stimulus], size: Size, grid: Grid) -> PositionScan:
    """Ask about every stimulus at every position; `logits` answers (N, K) to images (N, C, *size)."""
    correct, probability = [], []
    for stimulus in progress(stimuli, "blind spot: positions", len(stimuli)):
        answer = logits(torch.stack([grid.image(stimulus, position, size) for position in range(GRID**2)]))
        correct.append((answer.argmax(1) == stimulus.label).numpy())
        probability.append(answer.double().softmax(1)[:, stimulus.label].numpy())
    return PositionScan(np.stack(correct), np.stack(probability))


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """The worst position of a scan against the others, asked of fresh stimuli.

    Attributes:
        scan: the search.
        truth, worst, other: classes (N,) of the fresh stimuli: true, read at the worst position, and read elsewhere.
        everywhere: whether `other` is a position drawn at random for each stimulus; else it is the scan's best one.
    """

    scan: PositionScan
    truth: np.ndarray
    worst: np.ndarray
    other: np.ndarray
    everywhere: bool

    @property
    def lost(self) -> np.ndarray:
        """Stimuli recognized elsewhere but not at the worst position: bool (N,)."""
        return np.asarray((self.other == self.truth) & (self.worst != self.truth))

    @property
    def gained(self) -> np.ndarray:
        """Stimuli recognized at the worst position but not elsewhere: bool (N,)."""
        return np.asarray((self.other != self.truth) & (self.worst == self.truth))

    @property
    def drop(self) -> float:
        """(lost - gained) / N, the accuracy elsewhere less that at the worst position."""
        return float(self.lost.mean() - self.gained.mean())

    def interval(self, confidence: float) -> tuple[float, float]:
        """Of the drop."""
        return paired_drop_interval(int(self.lost.sum()), int(self.gained.sum()), len(self.truth), confidence)


def find_blind_spot(
    logits: Logits,
    stimuli: Sequence[Stimulus],
    size: Size,
    grid: Grid,
    *,
    searched: int,
    rng: np.random.Generator,
) -> BlindSpot:
    """Search the worst position on the first stimuli, and measure the accuracy lost there on the others.

    The stimuli that measure have no part in the search, so where positions do not matter the drop is 0 on average,
    however many positions were searched. Each is also asked at another position, drawn at random; where most of those
    are missed, at the position that the search found best, so that a model that sees one place only is not let off.

    Args:
        logits: answers (N, K) to images (N, C, *size).
        grid: the positions, as `grid_for` gives them.
        searched: how many of the stimuli search.
        rng: draws the other positions.

    Raises:
        UnsupportedError: even at the best position the accuracy is less than half way from chance to 1: a model that
            recognizes such stimuli nowhere says nothing about places.

    Source: Alsallakh et al., Mind the Pad, ICLR 2021 (arXiv 2010.02178), whose maps show a detector's score for a
    stimulus at every position.
    """
    scan = scan_positions(logits, stimuli[:searched], size, grid)
    fresh = stimuli[searched:]
    truth = np.array([stimulus.label for stimulus in fresh])
    chance = np.bincount(truth).max() / len(truth)
    others = (scan.worst + rng.integers(1, GRID**2, len(fresh))) % GRID**2
    other = _read(logits, fresh, size, grid, others)
    everywhere = bool(np.mean(other == truth) >= (1 + chance) / 2)
    if not everywhere:
        other = _read(logits, fresh, size, grid, [scan.best] * len(fresh))
        known = int(np.sum(other == truth))
        if known / len(truth) < (1 + chance) / 2:
            raise UnsupportedError(
                f"even where it does best, the model recognizes the content of only {known} of {len(truth)} images on "
                f"an empty background (always naming the commonest class: {chance:.0%}), so it cannot be said where it "
                "fails to"
            )
    worst = _read(logits, fresh, size, grid, [scan.worst] * len(fresh))
    return BlindSpot(scan, truth, worst, other, everywhere)


def _read(
    logits: Logits, stimuli: Sequence[Stimulus], size: Size, grid: Grid, positions: Sequence[int] | np.ndarray
) -> np.ndarray:
    """The classes read from the stimuli, each at its own position: int64 (N,)."""
    images = [grid.image(stimulus, int(position), size) for stimulus, position in zip(stimuli, positions)]
    classes: np.ndarray = logits(torch.stack(images)).argmax(1).numpy()
    return classes


def paired_drop_interval(lost: int, gained: int, n: int, confidence: float) -> tuple[float, float]:
    """Interval of (lost - gained) / n, the change of a share measured twice on the same n images.

    The exact intervals of lost / n and gained / n (Clopper and Pearson 1934) are joined by the method of variance
    estimates recovery, with the correlation of two cells of a multinomial; unlike a normal interval it is not empty
    where nothing was lost or gained.

    Source: Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27, 2008.

    Example:
        >>> low, high = paired_drop_interval(0, 0, 100, 0.95)
        >>> round(low, 3), round(high, 3)
        (-0.036, 0.036)
    """
    a, b = lost / n, gained / n
    a_low, a_high = proportion_interval(lost, n, confidence)
    b_low, b_high = proportion_interval(gained, n, confidence)
    correlation = -((a * b / ((1 - a) * (1 - b))) ** 0.5) if max(a, b) < 1 else 0.0

    def reach(one: float, other: float) -> float:
        return float((one**2 + other**2 - 2 * correlation * one * other) ** 0.5)

    return a - b - reach(a - a_low, b_high - b), a - b + reach(a_high - a, b - b_low)
