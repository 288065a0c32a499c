"""The loops of one random sample of a cloud of kernels, and the clouds of the null distributions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.statistics import generator
from cnnaudit.topology.density import density_filter
from cnnaudit.topology.homology import LANDMARKS, Loops, loops

NEIGHBORS = 100  # of the density filter, for 4,000 points or more
NOISE, GAUSSIAN, STUDENT = "initialization noise", "Gaussian of the same covariance", "Student's t of the same shape"
FREEDOM = 3  # degrees of freedom of Student's t: tails as heavy as those of kernels, which hold few large ones
FITTED = 20_000  # kernels that it is fitted to
Draw = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Settings:
    """How the loops of a cloud are computed.

    Attributes:
        sample: points drawn at random where there are more.
        share: of the points kept by the density filter, whose k is a fortieth of the points, at most 100.
        landmarks: points that represent the dense ones.
    """

    sample: int = 4_000
    share: float = 0.3
    landmarks: int = LANDMARKS


USUAL = Settings()


def directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernels of mean 0 and norm 1, and the numbers of those that are not constant.

    Example:
        >>> shapes, kept = directions(np.array([[1.0, 3.0], [2.0, 2.0]]))
        >>> shapes.round(3).tolist(), kept.tolist()
        ([[-0.707, 0.707]], [0])
    """
    centered = points - points.mean(1, keepdims=True)
    norms = np.linalg.norm(centered, axis=1)
    kept = np.flatnonzero(norms > 1e-6 * np.maximum(np.abs(points).max(1, initial=0), 1e-30))
    return centered[kept] / norms[kept, None], kept


@dataclass(frozen=True, eq=False)
class SampledLoops:
    """The loops of one random sample: indices of the dense points, the points themselves, and their loops."""

    dense: np.ndarray
    points: np.ndarray
    loops: Loops
    seed: int

    @property
    def longest(self) -> float:
        """The longest lifetime; 0 without a loop."""
        return float(self.loops.lifetimes[0]) if len(self.loops.intervals) else 0.0


def sample_loops(shapes: np.ndarray, settings: Settings, parts: tuple[object, ...]) -> SampledLoops:
    """Sample, density filter, landmarks, homology; `parts` seed the sample and the first landmark."""
    rng = generator("topology.ring", *parts)
    n = min(len(shapes), settings.sample)
    sample = np.sort(rng.choice(len(shapes), n, replace=False)) if n < len(shapes) else np.arange(n)
    dense = sample[density_filter(shapes[sample], min(NEIGHBORS, n // 40), settings.share).kept]
    seed = int(rng.integers(2**31))
    return SampledLoops(dense, shapes[dense], loops(shapes[dense], settings.landmarks, seed), seed)


def null_lifetimes(draw: Draw, n: int, resamples: int, settings: Settings, parts: tuple[object, ...]) -> np.ndarray:
    """The longest lifetime in each cloud of a null."""
    found = []
    for resample in range(resamples):
        shapes, _ = directions(draw(n, generator("topology.ring", *parts, resample)))
        found.append(sample_loops(shapes, settings, (*parts, resample)).longest)
    return np.array(found)


@functools.lru_cache(maxsize=64)
def noise_lifetimes(n: int, d: int, resamples: int, settings: Settings, seed: int) -> tuple[float, ...]:
    """The longest lifetimes of initialization noise, which are the same for all layers of as many kernels."""
    return tuple(null_lifetimes(noise(d), n, resamples, settings, (seed, NOISE)))


def noise(d: int) -> Draw:
    """Draws of kernels of d independent standard normal weights."""
    return lambda n, rng: rng.normal(size=(n, d))


def gaussian_like(points: np.ndarray) -> Draw:
    """Draws from the Gaussian of the points' mean and covariance."""
    mean = points.mean(0)
    root = _root(np.cov(points.T), mean)
    return lambda n, rng: mean + rng.normal(size=(n, root.shape[1])) @ root.T


def student_like(points: np.ndarray) -> Draw:
    """Draws from the multivariate t distribution of 3 degrees of freedom that is most likely to give the points.

    A few large kernels decide a covariance, but not the directions of the others; here they count little.

    Source: K. Lange, R. Little, J. Taylor, Robust statistical modeling using the t distribution, 1989 (its EM steps).
    """
    points = points[:: max(1, len(points) // FITTED)]
    mean, scatter = points.mean(0), np.cov(points.T)
    for _ in range(30):
        values, vectors = _axes(scatter, mean)
        centered = points - mean
        squared = ((centered @ vectors) ** 2 / values).sum(1)
        weights = (FREEDOM + len(values)) / (FREEDOM + squared)
        mean = weights @ points / weights.sum()
        centered = points - mean
        scatter = (weights * centered.T) @ centered / len(points)
    root = _root(scatter, mean)

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        stretch = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))
        return np.asarray(mean + stretch[:, None] * (rng.normal(size=(n, root.shape[1])) @ root.T))

    return draw


def _root(covariance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A matrix whose product with its transpose is the covariance."""
    values, vectors = _axes(covariance, mean)
    return np.asarray(vectors * np.sqrt(values))


def _axes(covariance: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of a covariance, without what is rounding beside the mean."""
    values, vectors = np.linalg.eigh(covariance)
    true = values > 1e-12 * (float(values[-1]) + float(mean @ mean))
    return values[true], vectors[:, true]
