"""What the kinds of units are counted in: a model, images of its data, optimized images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cnnaudit.units.shares import LayerShare

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

FEW = 16  # images of the experiments that show each of them several times


@dataclass(frozen=True, eq=False)
class OptimizedUnits:
    """Numbers (n,) of units of a layer, and an optimized image of each, uint8 (n, C, H, W)."""

    units: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Subject:
    """What is asked: a model that takes pixels, images of its data (n, C, H, W) on its device, a seed.

    Attributes:
        layers: names of all convolutions that have spatial kernels.
        optima: of some of them, optimized images of their units that are not dead.
    """

    model: nn.Module
    images: torch.Tensor
    layers: tuple[str, ...]
    seed: int = 0
    optima: Mapping[str, OptimizedUnits] = field(default_factory=dict)

    @property
    def image(self) -> torch.Tensor:
        """The first image, as a batch."""
        return self.images[:1]

    @cached_property
    def twin(self) -> nn.Module | None:
        """The architecture with fresh weights; None where that cannot be had."""
        from cnnaudit.models.untrained import untrained_twin

        return untrained_twin(self.model, self.images[:FEW], self.seed)

    @cached_property
    def fresh(self) -> Subject | None:
        """The same question to the twin."""
        return None if self.twin is None else Subject(self.twin, self.images, self.layers, self.seed)

    @cached_property
    def ordered(self) -> list[LayerShare]:
        """The units whose rows and columns differ beyond permuted kernels."""
        from cnnaudit.units.border import border_aware

        return border_aware(self.model, "calibrated", image=self.image, seed=self.seed)
