"""Atlases of layers: the work that is left, in batches of units, and what came of it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cnnaudit.core.errors import AuditError, ModelError, UnsupportedError
from cnnaudit.pages.atlas import chosen
from cnnaudit.pages.atlas._exemplars import Exemplars, exemplars
from cnnaudit.pages.atlas._optima import Direction, Optima, Settings, optima
from cnnaudit.pages.atlas.store import Store
from cnnaudit.pages.atlas.visible_region import fields_of, middle_of, natural_start

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.activation import Box, ReceptiveFields
    from cnnaudit.target import AuditTarget

AMONG = 500  # images of the data among which exemplars are sought, at most
EACH = 4  # exemplars of a unit in each direction


@dataclass(frozen=True)
class Plan:
    """What an atlas is made of.

    Attributes:
        layers: with maps, as in `named_modules()`, or calls such as `block1/relu:2`.
        settings: of the optimized images.
        units: `all`, how many (in equal steps through the layer), or their numbers; None: as many as fit into ten
            minutes at the measured speed.
        batch_size: units that are optimized together and kept together; None: 8, on a GPU 512.
        jobs: processes (joblib).
    """

    layers: tuple[str, ...]
    settings: Settings
    units: Literal["all"] | int | tuple[int, ...] | None = "all"
    batch_size: int | None = None
    jobs: int = 1


@dataclass(frozen=True, eq=False)
class LayerAtlas:
    """All that was found of a layer.

    Attributes:
        units: their numbers, ascending; `total`: how many the layer has.
        exemplars: of all units of the layer.
        sample: positions in the split of the images that they were sought among.
        maximum, minimum: of `units`, in their order; no minimum where the layer never falls below 0 on the data, as
            after a ReLU.
        fields: what a unit sees of an image of the target; None where it is not known.
        middle: what the middle of the map sees of an optimized image; None where it is not known, or the goal is the
            whole map.
        before: the layer that an activation function is applied to, empty where the layer is none.
    """

    layer: str
    units: tuple[int, ...]
    total: int
    exemplars: Exemplars
    split: str
    sample: np.ndarray
    maximum: Optima
    minimum: Optima | None
    fields: ReceptiveFields | None
    middle: Box | None
    before: str


class _Task(NamedTuple):
    layer: str
    direction: Direction
    units: tuple[int, ...]


def atlas(
    target: AuditTarget, plan: Plan, folder: Path, say: Callable[[str], object] | None = None
) -> Iterator[LayerAtlas]:
    """The atlases of layers, each as soon as it is finished.

    What is finished is kept in `folder`, a file per batch of units; an atlas that is asked for again continues from
    there and comes out the same.

    Args:
        say: is told how long the work will take.

    Raises:
        LayerError: the model has no such layer; near names are told.
        UnsupportedError: a layer has no maps, or the model hides its calls.
        ModelError: the model rejects images of that size.
        AuditError: a unit that the layer does not have; what `maximize` raises.
        DataError: the target has no images.
    """
    if not target.inside:
        raise UnsupportedError(target.inside_reason or "the model's inside cannot be observed")
    before = _probe(target, plan)
    stores = {layer: Store(folder, layer, _settings(target, plan.settings)) for layer in plan.layers}
    split, sample = _sample(target)
    natural = _natural(target, plan, split, sample, folder)
    units = {
        layer: chosen.units(target, plan, layer, natural[layer], stores[layer], _batch_size(target, plan), say)
        for layer in plan.layers
    }
    tasks = [task for layer in plan.layers for task in _left(target, plan, layer, units[layer], natural, stores)]
    fields = {layer: fields_of(target, layer, (target.input.channels, *target.input.size)) for layer in plan.layers}
    optimized = {layer: fields_of(target, layer, plan.settings.shape) for layer in plan.layers}
    waiting = Counter(task.layer for task in tasks)

    def finished(layer: str) -> LayerAtlas:
        high, low = (stores[layer].optima(direction) for direction in ("maximum", "minimum"))
        assert high is not None
        lower = low.of(units[layer]) if low is not None and natural[layer].falls else None
        return LayerAtlas(
            layer, units[layer], len(natural[layer]), natural[layer], split, sample, high.of(units[layer]), lower,
            fields[layer], middle_of(optimized[layer], plan.settings), before[layer],
        )  # fmt: skip

    yield from (finished(layer) for layer in plan.layers if not waiting[layer])

    def first(task: _Task) -> torch.Tensor:
        return natural_start(
            target.split(split),
            sample,
            natural[task.layer],
            task.units,
            task.direction,
            plan.settings,
            fields[task.layer],
            optimized[task.layer],
        )

    for task in _run(target, plan, tasks, stores, first):
        waiting[task.layer] -= 1
        if not waiting[task.layer]:
            yield finished(task.layer)


def kept_maxima(target: AuditTarget, settings: Settings, layers: Sequence[str], folder: Path) -> dict[str, Optima]:
    """The maximum images of layers that an atlas with these settings has kept in its `folder`; nothing is computed."""
    said = _settings(target, settings)
    found = {layer: Store(folder, layer, said).optima("maximum") for layer in layers}
    return {layer: optima for layer, optima in found.items() if optima is not None}


def _run(
    target: AuditTarget,
    plan: Plan,
    tasks: Sequence[_Task],
    stores: Mapping[str, Store],
    first: Callable[[_Task], torch.Tensor],
) -> Iterator[_Task]:
    """The tasks, as they are finished and kept."""
    import joblib

    from cnnaudit.core.progress import progress

    jobs = max(1, min(joblib.cpu_count() if plan.jobs == -1 else plan.jobs, len(tasks)))
    threads = None if jobs == 1 else max(1, joblib.cpu_count() // jobs)
    running = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
        joblib.delayed(_finish)(target.model, task, plan.settings, first(task), stores[task.layer], threads)
        for task in tasks
    )
    yield from progress(running, f"atlas of {target.name}", total=len(tasks))


def _finish(
    model: nn.Module, task: _Task, settings: Settings, first: torch.Tensor, store: Store, threads: int | None
) -> _Task:
    """One batch of units, optimized and kept."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)  # in a process of its own
    store.add(task.direction, optima(model, task.layer, task.units, task.direction, settings, first))
    return task


def _probe(target: AuditTarget, plan: Plan) -> dict[str, str]:
    """The layer before each activation function; wrong layers and sizes are told before any work is done."""
    import torch

    from cnnaudit.activation import spatial_layers
    from cnnaudit.interventions import run_until
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.interventions.op_types import ACTIVATIONS

    settings = plan.settings
    split, sample = _sample(target)
    image = target.split(split).read(sample[:1]).to(target.device)
    exemplars(target.model, image, plan.layers, k=1)
    for layer in plan.layers:
        gray = torch.full((1, *settings.shape), 0.5, device=target.device)
        try:
            with torch.no_grad(), evaluating(target.model):
                run_until(target.model, gray, layer)
        except AuditError:
            raise
        except Exception as error:
            size = " x ".join(map(str, settings.shape[1:]))
            raise ModelError(
                f"the model rejects images of {size} pixels at layer {layer!r}: {error}. "
                f"Its own size is {' x '.join(map(str, target.input.size))}; choose another with --size"
            ) from error
    calls = spatial_layers(target.model, image)
    before = {call.name: last.name for last, call in pairwise(calls) if call.kind in ACTIVATIONS}
    return {layer: before.get(layer, "") for layer in plan.layers}


def _sample(target: AuditTarget) -> tuple[str, np.ndarray]:
    split = "validation" if "validation" in target.splits or not target.splits else "train"
    target.split(split)
    return split, target.draw(split, AMONG, target.seed)


def _natural(target: AuditTarget, plan: Plan, split: str, sample: np.ndarray, folder: Path) -> dict[str, Exemplars]:
    """The exemplars of the layers; those that are kept are read, the others found in one pass."""
    goal = plan.settings.goal
    said = f"exemplars of {goal} in {split} {sample.tolist()} {_identity(target)}"
    stores = {layer: Store(folder, layer, said) for layer in plan.layers}
    known = {layer: found for layer, store in stores.items() if (found := store.exemplars()) is not None}
    missing = [layer for layer in plan.layers if layer not in known]
    if missing:
        images, _ = target.sample(split, AMONG, target.seed)
        fresh = exemplars(target.model, images, missing, EACH, goal=goal, device=target.device)
        for layer, found in fresh.items():
            stores[layer].add_exemplars(found)
        known |= fresh
    return known


def _batch_size(target: AuditTarget, plan: Plan) -> int:
    return plan.batch_size or (8 if target.device == "cpu" else 512)


def _left(
    target: AuditTarget,
    plan: Plan,
    layer: str,
    units: tuple[int, ...],
    natural: Mapping[str, Exemplars],
    stores: Mapping[str, Store],
) -> list[_Task]:
    """What has not been optimized yet, in batches."""
    size = _batch_size(target, plan)
    directions: tuple[Direction, ...] = ("maximum", "minimum") if natural[layer].falls else ("maximum",)
    tasks = []
    for direction in directions:
        known = stores[layer].optima(direction)
        there = set() if known is None else set(known.units.tolist())
        left = [unit for unit in units if unit not in there]
        tasks += [_Task(layer, direction, tuple(left[k : k + size])) for k in range(0, len(left), size)]
    return tasks


def _settings(target: AuditTarget, settings: Settings) -> str:
    """Everything that the optimized images depend on, as text."""
    from cnnaudit.optimization import RECIPES

    if settings.recipe not in RECIPES:
        raise AuditError(f"recipe: expected one of {', '.join(RECIPES)}, got {settings.recipe!r}")
    recipe = re.sub(r" at 0x[0-9a-f]+", "", repr(RECIPES[settings.recipe]))
    return f"{settings} {recipe} {_identity(target)}"


def _identity(target: AuditTarget) -> str:
    """The model's weights, its preprocessing and this version, as text."""
    import torch

    from cnnaudit import __version__

    digest = hashlib.sha256(f"{__version__} {target.input}".encode())
    state: Mapping[str, torch.Tensor] = target.model.state_dict()
    for name, value in state.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
