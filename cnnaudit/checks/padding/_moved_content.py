"""The content of images, cut out and put at other positions on its background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.data.background import backgrounds, content_box

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

    @property
    def positions(self) -> int:
        """How many there are."""
        return len(self.rows) * len(self.columns)

    def image(self, stimulus: Stimulus, position: int, size: Size) -> torch.Tensor:
        """An image (C, *size) with the stimulus at a position, counted row after row."""
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
