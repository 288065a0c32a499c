"""Images that drive units to their maximum, many units in one batch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import AuditError
from cnnaudit.core.progress import progress
from cnnaudit.interventions.memory_format import bears_channels_last
from cnnaudit.interventions.modes import evaluating
from cnnaudit.optimization.ascent import Ascent, Ascents, as_audit_error, noise
from cnnaudit.optimization.objectives import LOGITS, Objective
from cnnaudit.optimization.recipes import RECIPES, Recipe
from cnnaudit.optimization.truncated_model import Reader


@dataclass(frozen=True)
class OptimizedImages:
    """What came of `maximize`, one entry per goal.

    Attributes:
        names: of the goals.
        images: (N, C, H, W), the best of each; of dead ones the image they began with.
        first: (N, C, H, W), the image that each began with, as it is parameterized.
        start, height: (N,), the objective of the first and of the best image, both without jitter.
        outcome: `converged`, `steps` (stopped after the last one) or `dead` (nothing that was tried moved it).
        steps: (N,), steps made.
        began: from what the image that was kept ascended: `noise`, `louder noise` (from the first noise nothing moved),
            `natural` (noise moved nothing, only the image that was given did) or `better image` (it led higher).
        history: (looks, N), the running best at the start and at every look; NaN once an image has left.
    """

    names: tuple[str, ...]
    images: torch.Tensor
    first: torch.Tensor
    start: np.ndarray
    height: np.ndarray
    outcome: tuple[str, ...]
    steps: np.ndarray
    history: np.ndarray
    began: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dead(self) -> list[str]:
        """The goals that nothing moved."""
        return [name for name, outcome in zip(self.names, self.outcome) if outcome == "dead"]


def maximize(
    model: nn.Module,
    objective: Objective,
    shape: tuple[int, int, int],
    recipe: str | Recipe = "default",
    *,
    steps: int | None = None,
    start: torch.Tensor | None = None,
    natural: torch.Tensor | None = None,
    batch_size: int = 32,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    description: str = "",
) -> OptimizedImages:
    """The images that maximize the objective, for all its goals together.

    Ends the forward pass at the objective's last layer and computes no gradient of a weight, on a private copy of the
    model where that is quicker. An image is never worse than it began: the best of all looks is returned. Those that no
    longer rise leave the batch. A goal that never rose starts again from louder noise, twice; one that came no higher
    than the natural image that is given for it, from that image. Without any gradient it is called dead. Where memory
    runs out the batch is halved.

    Args:
        model: takes images (N, C, H, W) in [0, 1].
        objective: see `cnnaudit.optimization.objectives`.
        shape: (C, H, W) of the images.
        recipe: a name in `RECIPES`, or your own.
        steps: replaces the recipe's.
        start: images to start from, (1 or N, C, H, W); None: the recipe's noise around gray. With the recipe `examples`
            any number of images, the best of which is found for each goal.
        natural: (1 or N, C, H, W), an image for each goal, to start from where noise leads no higher.
        batch_size: goals that ascend together.
        dtype: `torch.bfloat16` computes the passes in it, faster and less exact; heights are of such passes.
        seed: of the noise and the jitter; the same seed gives the same images, whatever else ascends beside them.
        description: of a progress bar, over batches.

    Raises:
        AuditError: a unit that does not exist, an objective that is NaN, a start of another shape, an unknown recipe.
        ModelError: the model is not differentiable, rejects the shape, or memory does not suffice for one image.
        LayerError: the model has no such layer.

    Example:
        >>> import torch
        >>> from cnnaudit.optimization import channel
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
        >>> found = maximize(net, channel("0", [0, 1]), (1, 8, 8), steps=32)
        >>> bool((found.height >= found.start).all())
        True
    """
    chosen = _recipe(recipe)
    if chosen.steps == 0:
        return best_of(model, objective, start, shape, batch_size, dtype)
    steps = chosen.steps if steps is None else steps
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    first = _first_images(start, len(objective), shape, chosen, seed).to(device)
    layout = _layout(model, objective, first)
    last = None if natural is None else _given(natural, len(objective), shape, "natural").to(device)
    parts: list[Ascent] = []
    batches = [torch.arange(len(objective))[k : k + batch_size] for k in range(0, len(objective), batch_size)]
    with evaluating(model):
        try:
            reader = Reader(model, objective.layers, first[:1].contiguous(memory_format=layout), dtype)
        except Exception as error:  # a model may refuse a size by whatever it likes to raise
            raise as_audit_error(error, shape) from error
        chosen = _seen_whole(chosen, reader, first[:1])
        ascents = Ascents(objective, chosen, reader, first, last, steps, layout, dtype, seed)
        for rows in progress(batches, description) if description else batches:
            parts += ascents(rows.to(device))
    looks = max(len(part.history) for part in parts)
    histories = [np.stack([h.numpy() for h in part.history]) for part in parts]
    padded = [np.pad(h, ((0, looks - len(h)), (0, 0)), constant_values=np.nan) for h in histories]
    return OptimizedImages(
        objective.names,
        torch.cat([part.best for part in parts]),
        torch.cat([part.first for part in parts]),
        np.concatenate([part.start.cpu().numpy() for part in parts]),
        np.concatenate([part.height.cpu().numpy() for part in parts]),
        tuple(outcome for part in parts for outcome in part.outcome),
        np.concatenate([part.steps.numpy() for part in parts]),
        np.concatenate(padded, axis=1),
        tuple(began for part in parts for began in part.began),
    )


def _layout(model: nn.Module, objective: Objective, images: torch.Tensor) -> torch.memory_format:
    """The memory format in which passes are fastest, if the model answers the same in it."""
    layer = objective.layers[0] if len(objective.layers) == 1 and objective.layers[0] != LOGITS else None
    last = images.shape[2] >= 64 and bears_channels_last(model, images, layer=layer, views=True)
    return torch.channels_last if last else torch.contiguous_format


def _recipe(recipe: str | Recipe) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise AuditError(f"recipe: expected one of {', '.join(RECIPES)} or a Recipe, got {recipe!r}")
    return RECIPES[recipe]


def _first_images(
    start: torch.Tensor | None, goals: int, shape: Sequence[int], recipe: Recipe, seed: int
) -> torch.Tensor:
    """The images that the ascent begins with, (goals, C, H, W)."""
    if start is None:
        return noise(range(goals), shape, recipe.start, seed)
    return _given(start, goals, shape, "start")


def _given(images: torch.Tensor, goals: int, shape: Sequence[int], name: str) -> torch.Tensor:
    """Images from outside, one for each goal, a copy."""
    if tuple(images.shape[1:]) != tuple(shape) or len(images) not in (1, goals) or not torch.isfinite(images).all():
        raise AuditError(
            f"{name}: expected finite images (1 or {goals}, {', '.join(map(str, shape))}), got {tuple(images.shape)}"
        )
    return images.detach().float().expand(goals, *shape).clone()


def _seen_whole(recipe: Recipe, reader: Reader, image: torch.Tensor) -> Recipe:
    """The recipe, without the gray border of its jitter for a model that does not take images of that size."""
    if recipe.jitter is None or not recipe.jitter.padding:
        return recipe
    try:
        with torch.no_grad():
            reader(functional.pad(image, [recipe.jitter.padding] * 4, value=recipe.jitter.gray))
    except Exception:  # whatever a model says to a size that is not its own
        return replace(recipe, jitter=replace(recipe.jitter, padding=0))
    return recipe


def best_of(
    model: nn.Module,
    objective: Objective,
    images: torch.Tensor | None,
    shape: tuple[int, int, int],
    batch_size: int = 32,
    dtype: torch.dtype | None = None,
) -> OptimizedImages:
    """For each goal the image that serves it best among those given, unchanged: the recipe `examples`.

    Args:
        images: (any number, C, H, W), of the data set.

    Returns:
        `start` is the height of the median image; `outcome` is `steps`, 0 of them.
    """
    if images is None or not len(images) or tuple(images.shape[1:]) != tuple(shape):
        came = "none" if images is None else tuple(images.shape)
        raise AuditError(f"examples: expected start=images (any number, {', '.join(map(str, shape))}), got {came}")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    precision = torch.autocast(device.type, dtype) if dtype is not None else contextlib.nullcontext()
    goals, heights = torch.arange(len(objective), device=device), []
    with torch.no_grad(), evaluating(model), precision:
        reader = Reader(model, objective.layers, images[:1].float().to(device), quick=False)
        for batch in images.split(batch_size):  # type: ignore[no-untyped-call]
            batch = batch.float().to(device)
            values = reader(batch)
            for k in range(len(batch)):
                one = {name: value[k : k + 1].expand(len(goals), *value.shape[1:]) for name, value in values.items()}
                heights.append(objective.measure(one, batch[k : k + 1].expand(len(goals), *shape), goals).float())
    table = torch.stack(heights)
    height, best = table.max(0)
    middle, none = table.median(0).values.cpu().numpy(), np.zeros(len(goals), dtype=np.int64)
    found = images.float()[best.cpu()].to(device)
    return OptimizedImages(
        objective.names,
        found,
        found,
        middle,
        height.cpu().numpy(),
        ("steps",) * len(goals),
        none,
        height[None].cpu().numpy(),
        ("natural",) * len(goals),
    )
