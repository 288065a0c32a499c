"""The ring of a layer's kernels at several moments of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.topology._ring import LARGEST, Ring, ring
from cnnaudit.topology.nulls import USUAL, Settings

BAND = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Course:
    """A ring over a training.

    Attributes:
        epochs: of the checkpoints, ascending.
        rings: what `ring` found at each, without coordinates and graphs.
    """

    epochs: tuple[float, ...]
    rings: tuple[Ring, ...]

    @property
    def relative(self) -> np.ndarray:
        """The longest lifetime at each checkpoint, relative to a circle of radius 1."""
        return np.array([found.relative for found in self.rings])

    @property
    def bands(self) -> dict[str, np.ndarray]:
        """For each null the 5 %, 50 % and 95 % points of its lifetimes at each checkpoint, (checkpoints, 3)."""
        return {
            name: np.array([np.quantile(found.null[name], BAND) for found in self.rings]) / LARGEST
            for name in self.rings[0].null
        }


def over_training(
    checkpoints: Mapping[float, np.ndarray],
    *,
    draws: int = 5,
    resamples: int = 39,
    settings: Settings = USUAL,
    seed: int = 0,
) -> Course:
    """Ask about the ring of the same layer's kernels at each checkpoint, with the nulls of each.

    Args:
        checkpoints: epoch -> (N, d) kernels, such as `LayerKernels.each()` of the model at that moment; keep them with
            `fit(…, after_epoch=…)`.
        draws, resamples, settings, seed: see `ring`.

    Raises:
        DataError: no checkpoint; what `ring` raises, with its epoch.
        UnsupportedError: ripser is not installed.

    Source: proposed as future work by C. Garriga, Studying the characterisation of deep CNN neurons, 2019.

    Example:
        >>> from cnnaudit.topology.synthetic_ring import synthetic_ring
        >>> rng = np.random.default_rng(0)
        >>> states = {0: rng.normal(size=(400, 9)), 1: synthetic_ring(400, 3.0, rng)}
        >>> course = over_training(states, draws=1, resamples=9)
        >>> bool(course.relative[1] > course.relative[0])
        True
    """
    if not checkpoints:
        raise DataError("over_training: no checkpoint; give the kernels of at least one moment of the training")
    epochs = tuple(sorted(checkpoints))
    rings = []
    for epoch in epochs:
        try:
            kernels = checkpoints[epoch]
            found = ring(kernels, draws=draws, resamples=resamples, settings=settings, seed=seed, describe=False)
        except DataError as error:
            raise DataError(f"epoch {epoch:g}: {error}") from error
        rings.append(found)
    return Course(epochs, tuple(rings))
