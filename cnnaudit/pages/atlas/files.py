"""The files of an atlas: a page and grids of pictures for each layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import AuditError
from cnnaudit.pages.atlas.layers import Plan
from cnnaudit.pages.output import write
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import plural

if TYPE_CHECKING:
    import torch

    from cnnaudit.pages.atlas import LayerAtlas, Settings, Snapshots
    from cnnaudit.target import AuditTarget

SIDE = 128  # of optimized images, where the target's own are larger
STRIP = 12  # units in a strip over the training, at most
COMPARED = 4  # units that are optimized step by step, and by every family of regularizers
EXAMPLES = 500  # images of the data that these choose among and learn from


@dataclass(frozen=True)
class Options:
    """What `atlas` is asked for; the names are those of the command's options."""

    layers: tuple[str, ...] = ()
    units: Literal["all"] | int | tuple[int, ...] | None = None
    goal: Literal["unit", "channel"] = "unit"
    steps: int | None = None
    size: int | None = None
    recipe: str = "default"
    batch_size: int | None = None
    dtype: Literal["fp32", "bf16"] = "fp32"
    jobs: int = 1
    seed: int = 0
    output: Path = Path("reports")
    checkpoints: tuple[Path, ...] = ()
    classes: bool = False
    strip: bool = False
    families: bool = False
    diversity: bool = False
    interaction: bool = False
    image: str | None = None


def write_atlas(target: AuditTarget, options: Options, say: Callable[[str], object] | None = None) -> list[Path]:
    """Write `<output>/<target>/atlas/<layer>.html` and the grids of each layer; returns the paths.

    Args:
        say: is told how long the work will take.

    Raises:
        AuditError: as `cnnaudit.pages.atlas.atlas` does; a weight file that is not of this model.
    """
    from cnnaudit.pages.atlas import atlas
    from cnnaudit.pages.atlas.goals import write_goals
    from cnnaudit.pages.atlas.inverted import write_inverted
    from cnnaudit.pages.look.image import see

    if not options.layers and not options.classes and options.image is None:
        raise AuditError(_choice(target))
    folder = options.output / folder_name(target.name) / "atlas"
    settings, paths = settings_of(target, options), []
    dense = _dense(target, options.layers)
    for layer in (*((None,) if options.classes else ()), *dense):
        paths += write_goals(target, layer, _units(options, layer), settings, folder, options.batch_size)
    if options.image is not None:
        paths += write_inverted(target, see(target, options.image), options.layers, settings, folder)
    planar = tuple(layer for layer in dict.fromkeys(options.layers) if layer not in dense)
    if planar:
        plan = Plan(planar, settings, options.units, options.batch_size, options.jobs)
        states = _states(options.checkpoints)
        for found in atlas(target, plan, folder / "work", say):
            paths += _write(target, plan, found, _series(target, plan, found, states, options), folder)
    return sorted(paths)


def _dense(target: AuditTarget, layers: Sequence[str]) -> tuple[str, ...]:
    """Those of the layers whose answer is one row of numbers for each image."""
    import torch

    from cnnaudit.interventions import record
    from cnnaudit.interventions.batches import fill_batch, forward
    from cnnaudit.interventions.modes import evaluating

    if not layers or not target.inside:
        return ()
    image = torch.full((1, target.input.channels, *target.input.size), 0.5, device=target.device)
    image = fill_batch(image, getattr(target.model, "batch", None))
    with torch.no_grad(), evaluating(target.model):
        with record(target.model, layers) as values:
            forward(target.model, image)
        return tuple(layer for layer in dict.fromkeys(layers) if values[layer].ndim == 2)


def _units(options: Options, layer: str | None) -> Sequence[int] | None:
    """The units of a dense layer that are asked for; None: all."""
    if layer is None or options.units in (None, "all"):
        return None
    return range(options.units) if isinstance(options.units, int) else tuple(int(unit) for unit in options.units or ())


def settings_of(target: AuditTarget, options: Options = Options()) -> Settings:
    """How the images of a target are optimized unless the options say otherwise."""
    from cnnaudit.pages.atlas import Settings

    size = target.input.size
    if options.size is not None:
        size = (options.size, options.size)
    elif max(size) > SIDE:
        size = (SIDE, SIDE)
    shape = (target.input.channels, *size)
    return Settings(shape, options.goal, options.recipe, options.steps, options.dtype, options.seed)


def _choice(target: AuditTarget) -> str:
    """The layers that one can choose from."""
    from cnnaudit.activation import spatial_layers

    if not target.inside:
        return target.inside_reason
    import torch

    image = torch.full((1, target.input.channels, *target.input.size), 0.5, device=target.device)
    lines = [
        f"  {call.name}: {plural(call.output_shape[1], 'unit')}, maps of {' x '.join(map(str, call.output_shape[2:]))}"
        for call in spatial_layers(target.model, image)
    ]
    return "choose with --layers among the layers with maps:\n" + "\n".join(lines)


def _states(files: Sequence[Path]) -> dict[str, Mapping[str, torch.Tensor]]:
    """The weights of each checkpoint, by the file's name without its ending where these differ."""
    from cnnaudit.target.weights import read_weights

    differ = len({path.stem for path in files}) == len(files)
    return {path.stem if differ else str(path): read_weights(path) for path in files}


def _series(
    target: AuditTarget,
    plan: Plan,
    found: LayerAtlas,
    states: Mapping[str, Mapping[str, torch.Tensor]],
    options: Options,
) -> dict[str, Snapshots]:
    """The same units over the training, step by step and by families of regularizers, as far as they are asked for."""
    from cnnaudit.pages.atlas import over_training
    from cnnaudit.pages.atlas.comparisons import over_diversity, over_families, over_interaction, over_steps

    asked: dict[str, Snapshots] = {}
    if states:
        asked["training"] = over_training(target.model, found.layer, found.units[:STRIP], states, plan.settings)
    if options.strip:
        asked["steps"] = over_steps(target.model, found.layer, found.units[:COMPARED], plan.settings)
    if options.families:
        images = target.sample(found.split, EXAMPLES, target.seed)[0].to(target.device)
        asked["families"] = over_families(target.model, found.layer, found.units[:COMPARED], plan.settings, images)
    if options.diversity:
        asked["diversity"] = over_diversity(target.model, found.layer, found.units[:COMPARED], plan.settings)
    if options.interaction:
        asked["interaction"] = over_interaction(target.model, found.layer, found.units[:COMPARED], plan.settings)
    return asked


def _write(
    target: AuditTarget, plan: Plan, found: LayerAtlas, series: Mapping[str, Snapshots], folder: Path
) -> list[Path]:
    """The page and the grids of one layer: the highest first; units with a star began with an image of the data."""
    import numpy as np

    from cnnaudit.pages.atlas.page import page
    from cnnaudit.pages.atlas.pictures import animation, grid, published, side_by_side, strip, window

    name = folder_name(found.layer)
    files: dict[Path, str | bytes] = {folder / f"{name}.html": page(target, plan, found, series)}
    for direction, optima in (("maximum", found.maximum), ("minimum", found.minimum)):
        if optima is not None and not optima.dead.all():
            sign = -1 if direction == "maximum" else 1
            order = [int(k) for k in np.argsort(sign * optima.height, kind="stable") if not optima.dead[k]]
            labels = [f"{optima.units[k]}{'*' * (optima.began[k] == 'natural')}" for k in order]
            images = [published(optima.images[k], plan.settings.recipe) for k in order]
            shown = [window(image, found.middle) for image in images]
            files[folder / f"{name}-{direction}.png"] = grid(shown, labels)
    for kind, snapshots in series.items():
        files[folder / f"{name}-{kind}.png"] = strip(snapshots) if kind == "training" else side_by_side(snapshots)
        if kind in ("training", "steps"):
            files[folder / f"{name}-{kind}-animated.png"] = animation(snapshots)
    write(files)
    return list(files)
