"""The optimized images of some units of a layer, in one direction, as they are kept: in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.core.errors import AuditError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.optimization import Objective
    from cnnaudit.optimization.recipes import Recipe

Direction = Literal["maximum", "minimum"]
Goal = Literal["unit", "channel"]


@dataclass(frozen=True)
class Settings:
    """How the images of an atlas are optimized.

    Attributes:
        shape: (C, H, W) of the images.
        goal: the activation that is driven: `unit`, the value in the middle of the map, or `channel`, its mean, whose
            images are filled with what the unit looks for.
        recipe: a name in `cnnaudit.optimization.RECIPES`.
        steps: None: the recipe's.
        dtype: of the passes of the ascent.
        seed: of the first images and of the jitter.
    """

    shape: tuple[int, int, int]
    goal: Goal = "unit"
    recipe: str = "default"
    steps: int | None = None
    dtype: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def objective(self, layer: str, units: Sequence[int]) -> Objective:
        """What is driven up, one goal per unit."""
        from cnnaudit.optimization import channel, unit

        return (channel if self.goal == "channel" else unit)(layer, units)


@dataclass(frozen=True, eq=False)
class Optima:
    """Images that drive units to their maximum, or to their minimum.

    Attributes:
        units: (n,), their numbers.
        images: uint8 (n, C, H, W).
        start, height: (n,), the activation of the first image and of the one that is kept, both as they are in 8 bits,
            in fp32.
        outcome: (n,), as in `OptimizedImages`; of dead ones the image is the first one.
        steps: (n,), made.
        began: (n,), `noise`, `louder noise`, `natural` where only the image of the data moved the unit, `better image`
            where that led higher than noise.
    """

    units: np.ndarray
    images: np.ndarray
    start: np.ndarray
    height: np.ndarray
    outcome: np.ndarray
    steps: np.ndarray
    began: np.ndarray

    def __len__(self) -> int:
        return len(self.units)

    @property
    def dead(self) -> np.ndarray:
        """(n,), whether nothing that was tried moved the unit."""
        return np.asarray(self.outcome == "dead")

    def of(self, units: Sequence[int]) -> Optima:
        """Those units, in that order.

        Raises:
            AuditError: one is missing.
        """
        places = {int(unit): place for place, unit in enumerate(self.units)}
        missing = [unit for unit in units if unit not in places]
        if missing:
            raise AuditError(f"unit {missing[0]} was not optimized; there are {len(self)} others")
        order = [places[unit] for unit in units]
        return Optima(*(getattr(self, name)[order] for name in FIELDS))


FIELDS = tuple(Optima.__dataclass_fields__)


def optima(
    model: nn.Module,
    layer: str,
    units: Sequence[int],
    direction: Direction,
    settings: Settings,
    natural: torch.Tensor | None = None,
    recipe: Recipe | None = None,
) -> Optima:
    """Optimize the images of some units in one batch.

    Args:
        model: takes images (N, C, H, W) in [0, 1].
        layer: one with maps, before or after its ReLU.
        natural: (n, C, H, W), an image for each unit to start from where gray and noise lead no higher.
        recipe: in place of the one that the settings name.

    Raises:
        AuditError: as `cnnaudit.optimization.maximize` does.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
        >>> found = optima(net, "0", [1], "minimum", Settings((1, 24, 24), steps=20))
        >>> bool(found.height[0] < found.start[0]), found.images.dtype.name
        (True, 'uint8')
    """
    import torch

    from cnnaudit.optimization import maximize

    objective = settings.objective(layer, units)
    found = maximize(
        model,
        objective if direction == "maximum" else -objective,
        settings.shape,
        settings.recipe if recipe is None else recipe,
        steps=settings.steps,
        start=_gray(units, settings),
        natural=natural,
        batch_size=len(units),
        dtype=torch.bfloat16 if settings.dtype == "bf16" else None,
        seed=settings.seed,
    )
    kept, first = ((images.cpu() * 255).round().clamp(0, 255).to(torch.uint8) for images in (found.images, found.first))
    return Optima(
        np.asarray(units, dtype=np.int64),
        kept.numpy(),
        _heights(model, layer, first, objective),
        _heights(model, layer, kept, objective),
        np.asarray(found.outcome, dtype="U9"),
        np.asarray(found.steps, dtype=np.int64),
        np.asarray(found.began, dtype="U12"),
    )


def _gray(units: Sequence[int], settings: Settings) -> torch.Tensor:
    """Gray with a little noise, (n, C, H, W): a unit's own, whatever is optimized beside it."""
    import torch

    from cnnaudit.core.statistics import derive_seed
    from cnnaudit.optimization import RECIPES

    spread = RECIPES[settings.recipe].start if settings.recipe in RECIPES else 0.0
    seeds = [derive_seed(settings.seed, "atlas", int(unit)) for unit in units]
    drawn = [torch.randn(*settings.shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return (0.5 + spread * torch.stack(drawn)).clamp(0, 1)


def _heights(model: nn.Module, layer: str, kept: torch.Tensor, objective: Objective) -> np.ndarray:
    """The activation of each unit on its image, in fp32."""
    import torch

    from cnnaudit.interventions import run_until
    from cnnaudit.interventions.modes import evaluating

    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    measured = []
    with torch.no_grad(), evaluating(model):
        for rows in torch.arange(len(kept)).split(16):  # type: ignore[no-untyped-call]
            images = kept[rows].to(device).float() / 255
            values = {layer: run_until(model, images, layer)}
            measured.append(objective.measure(values, images, rows.to(device)).double().cpu().numpy())
    return np.concatenate(measured)
