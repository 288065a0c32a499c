"""Units that never fire on the data, or never stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import torch
    from torch import nn

Kind = Literal["never", "always"]

SAME = 1e-6  # of the layer's largest answer: a unit that moves by less answers one number, up to rounding


@dataclass(frozen=True, eq=False)
class LayerFiring:
    """How low and how high each unit of a layer answers in each image.

    Attributes:
        layer: the convolution or dense layer, as in `interventions.calls`.
        rectified: whether an activation function follows, after which the answers are read.
        lowest, highest: float32 (N, units), over all positions of the map.
    """

    layer: str
    rectified: bool
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return int(self.highest.shape[1])

    @property
    def fires(self) -> np.ndarray:
        """bool (N, units): the unit is above 0 somewhere in the image; without activation: it moves at all."""
        return np.asarray(self.highest > 0) if self.rectified else np.asarray(self._moves())

    @property
    def never(self) -> np.ndarray:
        """bool (units,): above 0 nowhere in no image; without an activation function: one number everywhere."""
        return np.asarray(~self.fires.any(axis=0))

    @property
    def always(self) -> np.ndarray:
        """bool (units,): above 0 everywhere in every image, so that its activation function does nothing to it.

        Never without an activation function.
        """
        return np.asarray((self.lowest > 0).all(axis=0) & self.rectified)

    def _moves(self) -> np.ndarray:
        """bool (N, units): the image holds an answer that differs from the unit's answers in the first image."""
        slack = SAME * float(np.abs(self.highest).max(initial=0))
        return (self.highest > self.lowest[:1] + slack) | (self.lowest < self.highest[:1] - slack)


def firing(model: nn.Module, images: torch.Tensor, *, batch_size: int = 16) -> list[LayerFiring]:
    """How low and how high every unit answers in each image, for all layers in one pass.

    Units are those of the convolutions, and of the dense layers with an activation function; they are read after the
    activation function that takes their own (normalized) output, and where there is none as they are.

    Args:
        images: float (N, C, H, W) in [0, 1].
        batch_size: images at a time; halved when memory runs out.

    Raises:
        DataError: the images are no finite (N, C, H, W).
        UnsupportedError: the model has no such layer, or hides its calls.
    """
    import torch

    from cnnaudit.units.responses import measure, outlets

    chosen = outlets(model, images)

    def ends(answers: torch.Tensor) -> torch.Tensor:
        plain = answers[0].float()
        return torch.stack((plain.amin(2), plain.amax(2)), dim=1)  # aminmax takes eight times as long

    found = measure(model, images, chosen, ends, batch_size=batch_size)
    return [
        LayerFiring(outlet.layer, outlet.rectified, values[:, 0], values[:, 1])
        for outlet, values in zip(chosen, found, strict=True)
    ]


def dead(
    model: nn.Module,
    images: torch.Tensor,
    *,
    kind: Kind = "never",
    twin: nn.Module | None = None,
    confidence: float = 0.95,
    batch_size: int = 16,
) -> list[LayerShare]:
    """Per layer the units that never fire on the images, or that always do.

    A unit never fires if it is above 0 at no position of no image, after its activation function (a layer without one:
    if it answers one number everywhere). It always fires if it is above 0 at every position of every image; then the
    activation function does nothing to it. Of a unit that is silent in n images, `firing_bound(n)` says how many
    others it may yet fire in.

    Args:
        images: float (N, C, H, W) in [0, 1].
        twin: an untrained network of the same architecture, whose shares are the null; None: no null.
        confidence: of the exact binomial intervals over units.

    Raises:
        DataError: the images are no finite (N, C, H, W).
        UnsupportedError: the model has no such layer, or hides its calls.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017, who
        skips the units that are stuck at 0.

    Example:
        >>> import torch
        >>> from cnnaudit.models import lenet
        >>> net = lenet().requires_grad_(False)
        >>> net.conv2.bias[3] = -1000
        >>> 3 in dead(net, torch.rand(8, 1, 28, 28))[1].found
        True
    """
    rows = firing(model, images, batch_size=batch_size)
    null = [None] * len(rows) if twin is None else firing(twin, images, batch_size=batch_size)
    return [
        layer_share(
            row.layer,
            row.units,
            np.flatnonzero(getattr(row, kind)),
            confidence=confidence,
            null=None if other is None else float(getattr(other, kind).mean()),
            null_name="" if other is None else "untrained twin",
        )
        for row, other in zip(rows, null, strict=True)
    ]


def firing_bound(images: int, confidence: float = 0.95) -> float:
    """How often a unit that was silent in that many images may fire at most: 1 - (1 - confidence)^(1 / images).

    The exact one-sided binomial bound: a unit that fires in a larger share of all images would have been silent in
    all of these with a probability below 1 - confidence.

    Example:
        >>> round(firing_bound(500), 4)
        0.006
    """
    return float(1 - (1 - confidence) ** (1 / images))
