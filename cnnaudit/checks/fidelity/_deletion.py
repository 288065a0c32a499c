"""Does taking away what a map points at hurt the prediction more than taking away anything?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

FRACTIONS = (0.05, 0.15, 0.4)

Probability = Callable[[torch.Tensor], np.ndarray]


def blurred(images: torch.Tensor) -> torch.Tensor:
    """The images (N, C, H, W) without their detail: a Gaussian blur of an eighth of the shorter side, edges repeated.

    What is deleted is replaced by it: it keeps the local brightness and color, so that the network is shown neither a
    black hole nor a constant that it never saw.
    """
    sigma = min(images.shape[-2:]) / 8
    radius = int(2 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    across = kernel.expand(channels, 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, across, groups=channels), across.mT.reshape(channels, 1, -1, 1), groups=channels)


def first_deleted(
    rows: np.ndarray, fraction: float, size: tuple[int, int], grid: tuple[int, int], rng: np.random.Generator
) -> torch.Tensor:
    """Which pixels are the most attributed ones: bool (N, 1, H, W), true in that share of the grid's cells.

    Equal cells are ordered at random, so that a blank map deletes at random.

    Args:
        rows: (N, cells), a map's values, row after row of the grid.
    """
    n, cells = rows.shape
    order = np.lexsort((rng.random(rows.shape), -rows), axis=1)
    chosen = np.zeros((n, cells), dtype=bool)
    np.put_along_axis(chosen, order[:, : max(1, round(fraction * cells))], True, axis=1)
    planes = torch.from_numpy(chosen).reshape(n, 1, *grid)
    return F.interpolate(planes.float(), size=size, mode="nearest-exact") > 0.5


@dataclass(frozen=True, slots=True)
class Deletion:
    """Probability of the explained class as ever more of each image is replaced.

    Attributes:
        before: (N,), of the whole images.
        emptied: (N,), when all of the image is replaced.
        method: (N, fractions), the most attributed cells first.
        random: (N, fractions), the cells of the same map at a random place, see `elsewhere`.
    """

    before: np.ndarray
    emptied: np.ndarray
    method: np.ndarray
    random: np.ndarray

    def gain(self, rows: np.ndarray | slice = slice(None)) -> float:
        """What the map takes away beyond itself at a random place, as a share of all that replacing can take away.

        sum over images of mean over fractions of (random - method) / sum over images of (before - emptied): 0 for a
        map that says nothing, 1 for one whose first cells carry everything, negative for one that points elsewhere.
        """
        beyond = (self.random[rows] - self.method[rows]).mean(1).sum()
        return float(beyond / (self.before[rows] - self.emptied[rows]).sum())


def deletion_curve(
    probability: Probability,
    images: torch.Tensor,
    rows: np.ndarray,
    grid: tuple[int, int],
    rng: np.random.Generator,
    fractions: Sequence[float] = FRACTIONS,
) -> np.ndarray:
    """Probability (N, fractions) of the explained class after the most attributed cells are replaced by the blur.

    Args:
        probability: of each image's explained class, (N,), for images (N, C, H, W).
        rows: (N, cells), the maps on the grid.

    Source: Samek et al. 2017 (arXiv 1509.06321) with the blur of Petsiuk et al. 2018 (RISE, arXiv 1806.07421).
    """
    soft, size = blurred(images), (images.shape[-2], images.shape[-1])
    curve = []
    for fraction in fractions:
        gone = first_deleted(rows, fraction, size, grid, rng).to(images.device)
        curve.append(probability(torch.where(gone, soft, images)))
    return np.stack(curve, axis=1)


def elsewhere(rows: np.ndarray, grid: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Each map (N, cells) at another place: turned over the edges by a quarter to three quarters of each side.

    What it deletes hangs together as before, only not where the map says. Cells strewn at random are no fair
    comparison: they leave edges all over the image and do more harm than one large hole, so that every smooth map would
    seem worse than chance.
    """
    planes = rows.reshape(len(rows), *grid)
    steps = [rng.integers(side // 4, max(side // 4 + 1, side - side // 4 + 1), len(rows)) for side in grid]
    moved = [np.roll(plane, step, axis=(0, 1)) for plane, step in zip(planes, zip(*steps))]
    return np.stack(moved).reshape(rows.shape)
