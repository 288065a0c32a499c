"""Is there a ring in a cloud of kernels, and is it more than their covariance makes by itself?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.statistics import generator, permutation_p_value
from cnnaudit.topology._graph_loops import COVERS, GraphLoops, loops_over_covers, stable_loop
from cnnaudit.topology.circular import circular_coordinates
from cnnaudit.topology.homology import loops
from cnnaudit.topology.nulls import (
    GAUSSIAN,
    NOISE,
    STUDENT,
    USUAL,
    Draw,
    SampledLoops,
    Settings,
    directions,
    gaussian_like,
    noise,
    noise_lifetimes,
    null_lifetimes,
    sample_loops,
    student_like,
)

FEWEST = 100  # kernels; of fewer, the dense third is too sparse to close a loop
LARGEST = float(np.sqrt(3))  # lifetime of a circle of radius 1


@dataclass(frozen=True, eq=False)
class Ring:
    """What `ring` found. Lengths are distances between kernels of mean 0 and norm 1 (variance 1: times sqrt(d)).

    Attributes:
        kernels: how many there were; `left_out` of them are constant and have no shape.
        lifetimes: of the longest loop in each draw of points and landmarks; the draw of the median is described below.
        birth, death: of its longest loop; `second` is the lifetime of its second one.
        intervals: (L, 2) births and deaths of all its loops, longest first.
        null: name of each null -> the longest lifetime in each of its clouds.
        coordinates: (kernels,), the angle of each kernel along the loop in [0, 2 pi); NaN for those away from it and
            for constant ones; None where there is no loop.
        dense: numbers of the kernels in that draw that the density filter kept.
        graphs: the loops of its Mapper graphs, by cover.
        null_graphs: name of each null -> the same of its first cloud.
    """

    kernels: int
    left_out: int
    lifetimes: np.ndarray
    birth: float
    death: float
    second: float
    intervals: np.ndarray
    null: Mapping[str, np.ndarray]
    coordinates: np.ndarray | None
    dense: np.ndarray
    graphs: list[GraphLoops]
    null_graphs: Mapping[str, list[GraphLoops]]

    @property
    def lifetime(self) -> float:
        """The longest lifetime, median over draws."""
        return float(np.median(self.lifetimes))

    @property
    def relative(self) -> float:
        """That lifetime relative to a circle of radius 1, which lives sqrt(3): in [0, 1]."""
        return self.lifetime / LARGEST

    @property
    def gap(self) -> float:
        """How much longer the longest loop lives than the second one."""
        return self.death - self.birth - self.second

    @property
    def nearest(self) -> str:
        """The null that comes nearest, by its median."""
        return max(self.null, key=lambda name: float(np.median(self.null[name])))

    @property
    def excess(self) -> float:
        """The median lifetime less that of the nearest null, relative to a circle of radius 1."""
        return (self.lifetime - float(np.median(self.null[self.nearest]))) / LARGEST

    @property
    def p_values(self) -> dict[str, float]:
        """(b + 1) / (B + 1) for each null, b of its B clouds having as long a lifetime."""
        return {name: permutation_p_value(self.lifetime, lifetimes) for name, lifetimes in self.null.items()}

    @property
    def p_value(self) -> float:
        """The largest of them: a ring is one beyond every null."""
        return max(self.p_values.values())

    @property
    def stable_loop(self) -> int:
        """The longest loop, in edges, that at least half of the Mapper graphs hold."""
        return stable_loop(self.graphs)


def ring(
    points: np.ndarray,
    *,
    draws: int = 9,
    resamples: int = 99,
    settings: Settings = USUAL,
    seed: int = 0,
    covers: tuple[tuple[int, float], ...] = COVERS,
    describe: bool = True,
) -> Ring:
    """The longest loop of a cloud of kernels, against three nulls that go the same way.

    The way: each kernel loses its mean and is divided by its norm; the densest `share` of a random sample is kept;
    landmarks of it give the first persistent homology (`loops`). The longest lifetime is compared with those of

    - initialization noise: as many kernels of independent Gaussian weights;
    - a Gaussian of the kernels' own mean and covariance, before mean and norm are removed. Where two eigenvalues
      dominate, such kernels lie around a circle without any structure of their own;
    - Student's t with 3 degrees of freedom fitted to the kernels, the same for kernels of which a few are much larger
      than the others and decide the covariance.

    What is longer than all of these is beyond any elliptical law; what is not is a fact of the covariance alone.

    Args:
        points: (N, d) kernels, each flattened, as they are in the network.
        draws: of points and landmarks, odd, to see how stable the lifetime is.
        resamples: clouds of each null.
        describe: False leaves out coordinates and Mapper graphs.

    Raises:
        DataError: NaN, fewer than 100 kernels that are not constant, or kernels of fewer than three weights.
        UnsupportedError: ripser is not installed.

    Source: G. Carlsson and R. Brüel Gabrielsson, Topological approaches to deep learning, 2018; null models after
    C. Garriga, Studying the characterisation of deep CNN neurons, 2019, whose ring has none.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = ring(rng.normal(size=(400, 9)), draws=3, resamples=9)
        >>> found.relative < 0.3 and found.p_value > 0.05
        True
    """
    points = np.asarray(points, dtype=float)
    _require(points)
    shapes, kept = directions(points)
    if len(kept) < FEWEST:
        raise DataError(f"ring: expected at least {FEWEST} kernels that are not constant, got {len(kept)}")
    samples = [sample_loops(shapes, settings, (seed, "draw", draw)) for draw in range(draws)]
    lifetimes = np.array([sample.longest for sample in samples])
    middle = samples[int(np.argsort(lifetimes, kind="stable")[len(samples) // 2])]
    n = min(len(shapes), settings.sample)
    drawn = {GAUSSIAN: gaussian_like(points[kept]), STUDENT: student_like(points[kept])}
    nulls = {
        NOISE: np.array(noise_lifetimes(n, points.shape[1], resamples, settings, seed)),
        **{name: null_lifetimes(draw, n, resamples, settings, (seed, name)) for name, draw in drawn.items()},
    }
    drawn[NOISE] = noise(points.shape[1])
    intervals = middle.loops.intervals
    return Ring(
        kernels=len(points),
        left_out=len(points) - len(kept),
        lifetimes=lifetimes,
        birth=float(intervals[0, 0]) if len(intervals) else 0.0,
        death=float(intervals[0, 1]) if len(intervals) else 0.0,
        second=float(middle.loops.lifetimes[1]) if len(intervals) > 1 else 0.0,
        intervals=intervals,
        null=nulls,
        coordinates=_coordinates(middle, shapes, kept, len(points)) if describe else None,
        dense=kept[middle.dense],
        graphs=_graphs(middle, covers) if describe else [],
        null_graphs={name: _null_graphs(draw, n, settings, (seed, name), covers) for name, draw in drawn.items()}
        if describe
        else {},
    )


def around(found: Ring, points: np.ndarray, count: int = 24) -> np.ndarray:
    """Numbers of dense kernels around a ring, one for each of `count` equal parts of the circle that holds any.

    In each part it is the kernel nearest to the mean shape of the part's dense kernels; parts ascend by angle.

    Args:
        points: (N, d), those that `ring` was asked about.
    """
    if found.coordinates is None:
        return np.empty(0, dtype=np.int64)
    dense = found.dense[np.isfinite(found.coordinates[found.dense])]
    shapes, _ = directions(np.asarray(points, dtype=float)[dense])
    part = (found.coordinates[dense] / (2 * np.pi) * count).astype(int) % count
    members = [np.flatnonzero(part == k) for k in np.unique(part)]
    nearest = [some[(shapes[some] @ shapes[some].mean(0)).argmax()] for some in members]
    return np.asarray(dense[np.array(nearest, dtype=np.int64)])


def _coordinates(sampled: SampledLoops, shapes: np.ndarray, kept: np.ndarray, n: int) -> np.ndarray | None:
    """The angle of every kernel along the longest loop of a draw."""
    found = loops(sampled.points, len(sampled.loops.landmarks), sampled.seed, cocycles=True)
    angles = circular_coordinates(shapes, found, sampled.points)
    if angles is None:
        return None
    every = np.full(n, np.nan)
    every[kept] = angles
    return every


def _graphs(sampled: SampledLoops, covers: tuple[tuple[int, float], ...]) -> list[GraphLoops]:
    """The loops of Mapper graphs over three principal components, with 3 samples and DBSCAN's eps of .5 for 3 x 3
    kernels, which are less far apart than those with more weights, sqrt(d) / 6. None for fewer than 4 distinct points.
    """
    if len(sampled.loops.landmarks) < 4:
        return []
    points = sampled.points
    centered = points - points.mean(0)
    lens = centered @ np.linalg.eigh(centered.T @ centered)[1][:, : -min(3, points.shape[1]) - 1 : -1]
    return loops_over_covers(points, lens, covers, eps=np.sqrt(points.shape[1]) / 6)


def _null_graphs(
    draw: Draw, n: int, settings: Settings, parts: tuple[object, ...], covers: tuple[tuple[int, float], ...]
) -> list[GraphLoops]:
    shapes, _ = directions(draw(n, generator("topology.ring", *parts, 0)))
    return _graphs(sample_loops(shapes, settings, (*parts, 0)), covers)


def _require(points: np.ndarray) -> None:
    if points.ndim != 2 or points.shape[1] < 3:
        raise DataError(f"ring: expected kernels (N, d) of at least three weights, got shape {points.shape}")
    if not np.isfinite(points).all():
        broken = int((~np.isfinite(points)).any(1).sum())
        raise DataError(f"ring: {broken} of {len(points)} kernels hold NaN or infinity; leave them out")
