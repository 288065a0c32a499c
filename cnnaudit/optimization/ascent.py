"""Gradient ascent on many images at once, through a forward pass cut at the layer, restarted where nothing moves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.core.memory import out_of_memory
from cnnaudit.core.statistics import derive_seed
from cnnaudit.optimization.objectives import Objective
from cnnaudit.optimization.recipes import Recipe
from cnnaudit.optimization.truncated_model import Reader

NEGLIGIBLE = 1e-6  # of the largest gradient of an image: rounding, outside the field of view


@dataclass
class Ascent:
    """Images of a batch on their way up; those that have converged leave it.

    Attributes:
        best: (n, C, H, W), the best image of each goal seen so far, as it is, without jitter.
        start, height: (n,), the objective of the first image and of the best.
        steps: (n,), steps made.
        first: (n, C, H, W), the image that each began with.
        outcome: (n) of `converged`, `steps` (all were made), `dead` (no gradient, so it was never moved; or it began
            at 0, as after a ReLU, and never left it).
        history: (measurements, n), the running best.
        began: (n) of `noise`, `louder noise`, `natural`, `better image`.
    """

    objective: Objective
    recipe: Recipe
    reader: Reader
    rows: torch.Tensor
    size: tuple[int, int]
    layout: torch.memory_format
    autocast: Callable[[], Any]
    best: torch.Tensor
    first: torch.Tensor = field(init=False)
    start: torch.Tensor = field(init=False)
    height: torch.Tensor = field(init=False)

    def run(self, steps: int, generator: torch.Generator) -> None:
        """Make the steps."""
        self._begin()
        self.field = self._field() if steps and self.recipe.jitter is not None else None
        grids = self.recipe.grids(self.size)
        for step in range(1, steps + 1):
            if not len(self.alive):
                break
            if (grid := grids[(step - 1) * len(grids) // steps]) != self.grid:
                self._change(grid)
            self._step(generator)
            if step % self.recipe.measured_every == 0 or step == steps:
                self._measure(step, last=step == steps)

    def _begin(self) -> None:
        n = len(self.rows)
        self.alive = torch.arange(n, device=self.best.device)
        self.grid = self.size
        self._write(self.best)
        self.first = self.decoded().detach()
        self.best, self.start = self.first.clone(), self.heights(self.first, self.rows)
        self.height, self.reference = self.start.clone(), self.start.clone()
        self.steps = torch.zeros(n, dtype=torch.long)
        self.outcome, self.began = ["steps"] * n, ["noise"] * n
        self.moved, self.still = torch.zeros(n, dtype=torch.bool, device=self.best.device), True
        self.history = [self.height.cpu().clone()]

    def behind(self, level: torch.Tensor) -> list[int]:
        """The goals that are dead or not above a level (n,): their start, where the first steps have lost them."""
        above = (self.height > level).tolist()
        return [k for k, outcome in enumerate(self.outcome) if outcome == "dead" or not above[k]]

    def adopt(self, goals: Sequence[int], other: Ascent, began: str) -> None:
        """Take those goals that another ascent has brought further, in its order; `began`: what it started from."""
        for k, goal in enumerate(goals):
            further = self.outcome[goal] == "dead" or bool(other.height[k] > self.height[goal])
            rose = bool(other.height[k] > other.start[k])  # else it is the image that was given, not an optimum
            if other.outcome[k] == "dead" or not (further and rose):
                continue
            self.began[goal] = "better image" if began == "natural" and self.outcome[goal] != "dead" else began
            self.outcome[goal], self.steps[goal] = other.outcome[k], other.steps[k]
            for name in ("best", "first", "start", "height"):
                getattr(self, name)[goal] = getattr(other, name)[k]
            while len(self.history) < len(other.history):
                self.history.append(self.history[-1].clone())
            for own, others in zip(self.history, other.history):
                own[goal] = others[k]

    def decoded(self) -> torch.Tensor:
        """The images that are still being changed, at full size."""
        images = self.recipe.parameterization.decode(self.numbers, self.grid)
        return images if images.shape[2:] == self.size else _resized(images, self.size)

    def _change(self, grid: tuple[int, int]) -> None:
        """Go on with images of that many pixels."""
        with torch.no_grad():
            images = _resized(self.decoded(), grid)
        self.grid = grid
        self._write(images)

    def _write(self, images: torch.Tensor) -> None:
        """The images as numbers, at rest."""
        self.numbers = self.recipe.parameterization.encode(images)
        self.moments, self.moves = (torch.zeros_like(self.numbers), torch.zeros_like(self.numbers)), 0

    def _step(self, generator: torch.Generator) -> None:
        """One step uphill for every image that has not converged."""
        self.numbers.requires_grad_(True)
        seen = self.recipe.seen(self.decoded(), generator, self.field)
        with self.autocast():
            score = self._score(seen, self.rows[self.alive])
        if self.recipe.penalty is not None:
            score = score - self.recipe.penalty.measure({}, seen, self.rows[self.alive])
        if not score.requires_grad:
            raise ModelError(
                f"{self.objective.names[0]}: the model is not differentiable up to {self.objective.layers}"
            )
        (gradient,) = torch.autograd.grad(score.sum(), self.numbers)
        self.numbers = self.numbers.detach()
        if self.still:
            self.moved[self.alive] |= gradient.flatten(1).any(1)
        self.moves += 1
        with torch.no_grad():
            self.numbers, self.moments = self.recipe.step(self.numbers, gradient, self.moments, self.moves)
            self.numbers = self.recipe.parameterization.project(self.numbers)

    def _measure(self, step: int, last: bool) -> None:
        """Keep the better of each image as it is now and as it was; let go of those that rise no more."""
        with torch.no_grad():
            images = self.decoded()
        alive = self.alive
        heights = self.heights(images, self.rows[alive])
        better = heights > self.height[alive]
        self.height[alive[better]] = heights[better]
        self.best[alive[better]] = images[better]
        self.steps[alive.cpu()] = step
        self.history.append(self.height.cpu().clone())
        self.still = not bool(self.moved[alive].all())
        waited = step % (self.recipe.measured_every * self.recipe.patience) == 0
        dead = ~self.moved | ((self.height == 0) & (self.start == 0))  # an activation that never left 0
        if last:
            for k in alive[dead[alive]].tolist():
                self.outcome[k] = "dead"
        if last or not waited or self.grid != self.size:
            return
        rise = self.height[alive] - self.reference[alive]
        stay = rise > self.recipe.tolerance * self.height[alive].abs()
        self.reference[alive] = self.height[alive]
        for k in alive[~stay].tolist():
            self.outcome[k] = "dead" if bool(dead[k]) else "converged"
        self.alive, self.numbers = alive[stay], self.numbers[stay]
        self.moments = self.moments[0][stay], self.moments[1][stay]

    def _field(self) -> int | None:
        """Side of what the goals see of an image, where noise has a gradient; jitter beyond it would smear everything.

        Rounded up to a power of two, so that it does not hang on what else is in the batch.
        """
        noise = torch.rand(self.first.shape, generator=torch.Generator().manual_seed(0)).to(self.first)
        with self.autocast():
            score = self._score(noise.requires_grad_(True), self.rows)
        if not score.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(score.sum(), noise, allow_unused=True)
        if gradient is None:
            return None
        strength = gradient.abs().amax(1)
        seen = strength > NEGLIGIBLE * strength.amax((1, 2), keepdim=True)
        side = max(int(_extent(seen.any(2)).max()), int(_extent(seen.any(1)).max()))
        return 2 ** (side - 1).bit_length() if side else None

    def _score(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The objective of images, which pursue those goals."""
        values = self.reader(images.contiguous(memory_format=self.layout))
        return self.objective.measure(values, images, rows)

    def heights(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The objective of images as they are; a NaN on the way up has reached them by the next look."""
        with torch.no_grad(), self.autocast():
            score = self._score(images, rows).float()
        if not torch.isfinite(score).all():
            name = self.objective.names[int(rows[~torch.isfinite(score)][0])]
            raise AuditError(
                f"the objective {name} is NaN or infinite; lower the step size, or start from another image"
            )
        return score


@dataclass(frozen=True)
class Ascents:
    """The ascents of all goals, batch by batch: halved where memory runs out, begun again where nothing moves.

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
        except Exception as error:  # a model may refuse a size by whatever it likes to raise
            if out_of_memory(error) and len(rows) > 1:
                halves = rows.split(-(-len(rows) // 2))  # type: ignore[no-untyped-call]
                return [ascent for half in halves for ascent in self(half)]
            raise as_audit_error(error, self.first.shape[1:]) from error
        for attempt, louder in enumerate(self.recipe.louder, start=1):
            if stuck := ascent.behind(ascent.start):
                elsewhere = noise(rows[stuck].tolist(), self.first.shape[1:], louder, self.seed + attempt)
                self._again(ascent, stuck, elsewhere.to(self.first), "louder noise")
        if self.natural is not None:
            behind = ascent.behind(ascent.heights(self.natural[rows], rows))
            if behind:
                self._again(ascent, behind, self.natural[rows[behind]], "natural")
        return [ascent]

    def _again(self, ascent: Ascent, goals: list[int], first: torch.Tensor, began: str) -> None:
        """Another ascent of goals of the batch, kept where it came further."""
        ascent.adopt(goals, self._run(first, ascent.rows[goals]), began)

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


def as_audit_error(error: Exception, shape: Sequence[int]) -> Exception:
    """The error that a model raised, with the shape of the images in its message."""
    if isinstance(error, AuditError):
        return error
    why = "memory does not suffice for one image" if out_of_memory(error) else str(error)
    return ModelError(f"images of {tuple(shape)}: {type(error).__name__}: {why}")


def _extent(seen: torch.Tensor) -> torch.Tensor:
    """How far it is from the first to the last that is seen, both included: (n,) of (n, places)."""
    places = torch.arange(1, seen.shape[1] + 1, device=seen.device)
    last = (seen * places).amax(1)
    first = (seen * places.flip(0)).amax(1)
    return (last + first - seen.shape[1]).clamp_min(0)


def _resized(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
