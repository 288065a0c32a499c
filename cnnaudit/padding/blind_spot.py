"""Whether a small stimulus is recognized wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.errors import UnsupportedError
from cnnaudit.padding.background import backgrounds, content_box
from cnnaudit.progress import progress
from cnnaudit.statistics import permutation_p_value, proportion_interval

Logits = Callable[[torch.Tensor], torch.Tensor]
Place = tuple[float, float]  # row and column, 0 to 1
GRID = 5  # positions along each side


@dataclass(frozen=True, slots=True)
class Stimulus:
    """The content of one image, cut out, at most two thirds as long as the image's shorter side.

    Attributes:
        pixels: (C, h, w).
        color: (C,), the background that it is put on.
        center: row and column of the content's center in its image, 0 to 1.
        label: its class.
    """

    pixels: torch.Tensor
    color: torch.Tensor
    center: Place
    label: int

    def at(self, place: Place, size: tuple[int, int]) -> torch.Tensor:
        """An image (C, *size) of background with the stimulus on it; (0, 0) is top left, (1, 1) bottom right."""
        height, width = self.pixels.shape[-2:]
        top, left = round(place[0] * (size[0] - height)), round(place[1] * (size[1] - width))
        image = self.color[:, None, None].expand(-1, *size).clone()
        image[:, top : top + height, left : left + width] = self.pixels
        return image


def stimulus_of(image: torch.Tensor, label: int) -> Stimulus | None:
    """The content of an image (C, H, W) as a stimulus, made smaller where it is longer than two thirds of the image.

    Two thirds, because a trained MobileNetV2 still reads .60 of photographs at that size, .39 at half of it.

    None where the image is nothing but background.
    """
    color = backgrounds(image[None])[0]
    box = content_box(image, color)
    if box is None:
        return None
    top, bottom, left, right = box
    pixels = image[:, top:bottom, left:right]
    longest, limit = max(pixels.shape[-2:]), 2 * min(image.shape[-2:]) // 3
    if longest > limit:
        size = [max(1, round(side * limit / longest)) for side in pixels.shape[-2:]]
        pixels = F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    center = (top + bottom) / 2 / image.shape[-2], (left + right) / 2 / image.shape[-1]
    return Stimulus(pixels, color, center, label)


def positions(
    stimuli: Sequence[Stimulus], size: tuple[int, int], claim: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the grid, 0 to 1: the whole image, or what a claim of that many pixels promises.

    A claim promises the places where the content of the data stands (from the 5 % to the 95 % point of the centers,
    along each side), and `claim` pixels around them.
    """
    if not claim:
        return np.linspace(0, 1, GRID), np.linspace(0, 1, GRID)
    axes = []
    for axis in (0, 1):
        low, high = np.quantile([stimulus.center[axis] for stimulus in stimuli], [0.05, 0.95]) * size[axis]
        side = float(np.median([stimulus.pixels.shape[1 + axis] for stimulus in stimuli]))
        first, last = (np.array([low - claim, high + claim]) - side / 2) / (size[axis] - side)
        axes.append(np.linspace(max(first, 0), min(last, 1), GRID).clip(0, 1))
    return axes[0], axes[1]


@dataclass(frozen=True, slots=True)
class PositionScan:
    """Some stimuli at every position of a grid.

    Attributes:
        places: the P positions of the grid, row after row.
        correct: (N, P) bool.
        probability: (N, P), of the true class.
    """

    places: tuple[Place, ...]
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


def scan_positions(
    logits: Logits, stimuli: Sequence[Stimulus], size: tuple[int, int], places: Sequence[Place]
) -> PositionScan:
    """Ask about every stimulus at every place; `logits` answers (N, K) to images (N, C, *size)."""
    correct, probability = [], []
    for stimulus in progress(stimuli, "blind spot: positions", len(stimuli)):
        answer = logits(torch.stack([stimulus.at(place, size) for place in places]))
        correct.append((answer.argmax(1) == stimulus.label).numpy())
        probability.append(answer.double().softmax(1)[:, stimulus.label].numpy())
    return PositionScan(tuple(places), np.stack(correct), np.stack(probability))


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
    size: tuple[int, int],
    grid: tuple[np.ndarray, np.ndarray],
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
        grid: rows and columns, as `positions` gives them.
        searched: how many of the stimuli search.
        rng: draws the other positions.

    Raises:
        UnsupportedError: even at the best position the accuracy is less than half way from chance to 1: a model that
            recognizes such stimuli nowhere says nothing about places.

    Source: Alsallakh et al., Mind the Pad, ICLR 2021 (arXiv 2010.02178), whose maps show a detector's score for a
    stimulus at every position.
    """
    places = [(float(row), float(column)) for row in grid[0] for column in grid[1]]
    scan = scan_positions(logits, stimuli[:searched], size, places)
    fresh = stimuli[searched:]
    truth = np.array([stimulus.label for stimulus in fresh])
    chance = np.bincount(truth).max() / len(truth)
    others = (scan.worst + rng.integers(1, len(places), len(fresh))) % len(places)
    other = _read(logits, fresh, size, [places[position] for position in others])
    everywhere = bool(np.mean(other == truth) >= (1 + chance) / 2)
    if not everywhere:
        other = _read(logits, fresh, size, [places[scan.best]] * len(fresh))
        known = int(np.sum(other == truth))
        if known / len(truth) < (1 + chance) / 2:
            raise UnsupportedError(
                f"even where it does best, the model recognizes only {known} of {len(truth)} small stimuli (always "
                f"naming their commonest class: {chance:.0%}), so it cannot be said where it fails to"
            )
    return BlindSpot(scan, truth, _read(logits, fresh, size, [places[scan.worst]] * len(fresh)), other, everywhere)


def _read(logits: Logits, stimuli: Sequence[Stimulus], size: tuple[int, int], places: Sequence[Place]) -> np.ndarray:
    """The classes read from the stimuli, each at its own place: int64 (N,)."""
    images = torch.stack([stimulus.at(place, size) for stimulus, place in zip(stimuli, places)])
    classes: np.ndarray = logits(images).argmax(1).numpy()
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
