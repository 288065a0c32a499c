"""The ascents of a batch of goals: halved where memory runs out, begun again where nothing moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.core.memory import out_of_memory
from cnnaudit.core.statistics import derive_seed
from cnnaudit.optimization.ascent import Ascent
from cnnaudit.optimization.objectives import Objective
from cnnaudit.optimization.recipes import Recipe
from cnnaudit.optimization.truncated_model import Reader


@dataclass(frozen=True)
class Climb:
    """What the ascents of all batches have in common.

    Attributes:
        first: (goals, C, H, W), the images to begin with.
        natural: likewise; goals that came no higher than them begin with them once more; None: there are none.
        layout: of the images that the model sees.
    """

    objective: Objective
    recipe: Recipe
    reader: Reader
    first: torch.Tensor
    natural: torch.Tensor | None
    steps: int
    layout: torch.memory_format
    dtype: torch.dtype | None
    seed: int

    def __call__(self, rows: torch.Tensor) -> list[Ascent]:
        """The ascents of those goals.

        Raises:
            ModelError: memory does not suffice for one image, or the model rejects its shape.
        """
        try:
            ascent = self._run(self.first[rows], rows)
        except RuntimeError as error:
            if out_of_memory(error) and len(rows) > 1:
                halves = rows.split(-(-len(rows) // 2))  # type: ignore[no-untyped-call]
                return [ascent for half in halves for ascent in self(half)]
            raise told(error, self.first.shape[1:]) from error
        for attempt, louder in enumerate(self.recipe.louder, start=1):
            if stuck := ascent.behind(ascent.start):
                elsewhere = noise(rows[stuck].tolist(), self.first.shape[1:], louder, self.seed + attempt)
                self._again(ascent, stuck, elsewhere.to(self.first))
        if self.natural is not None:
            behind = ascent.behind(ascent.heights(self.natural[rows], rows))
            if behind:
                self._again(ascent, behind, self.natural[rows[behind]])
        return [ascent]

    def _again(self, ascent: Ascent, goals: list[int], first: torch.Tensor) -> None:
        """Another ascent of goals of the batch, kept where it came further."""
        ascent.adopt(goals, self._run(first, ascent.rows[goals]))

    def _run(self, first: torch.Tensor, rows: torch.Tensor) -> Ascent:
        """One ascent."""

        def precision() -> Any:
            return torch.autocast(first.device.type, self.dtype) if self.dtype is not None else contextlib.nullcontext()

        size = (first.shape[2], first.shape[3])
        ascent = Ascent(self.objective, self.recipe, self.reader, rows, size, self.layout, precision, first)
        ascent.run(self.steps, torch.Generator().manual_seed(derive_seed(self.seed, "jitter")))
        return ascent


def noise(rows: Iterable[int], shape: Sequence[int], spread: float, seed: int) -> torch.Tensor:
    """Gray with Gaussian noise, each image from a generator of its own."""
    seeds = [derive_seed(seed, "start", int(row)) for row in rows]
    drawn = [torch.randn(*shape, generator=torch.Generator().manual_seed(own)) for own in seeds]
    return (0.5 + spread * torch.stack(drawn)).clamp(0, 1)


def told(error: RuntimeError, shape: Sequence[int]) -> Exception:
    """What a model raised, as an error that says of which images."""
    if isinstance(error, AuditError):
        return error
    why = "memory does not suffice for one image" if out_of_memory(error) else str(error)
    return ModelError(f"images of {tuple(shape)}: {type(error).__name__}: {why}")
