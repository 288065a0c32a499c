"""The files of an atlas: a page and grids of pictures for each layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import AuditError
from cnnaudit.pages.output import write
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import plural

if TYPE_CHECKING:
    import torch

    from cnnaudit.pages.atlas import LayerAtlas, Plan, Settings, Snapshots
    from cnnaudit.target import AuditTarget

SIDE = 128  # of optimized images, where the target's own are larger
STRIP = 12  # units in a strip over the training, at most


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


def write_atlas(target: AuditTarget, options: Options, say: Callable[[str], object] | None = None) -> list[Path]:
    """Write `<output>/<target>/atlas/<layer>.html` and the grids of each layer; returns the paths.

    Args:
        say: is told how long the work will take.

    Raises:
        AuditError: as `cnnaudit.pages.atlas.atlas` does; a weight file that is not of this model.
    """
    from cnnaudit.pages.atlas import atlas

    plan = _plan(target, options)
    folder = options.output / folder_name(target.name) / "atlas"
    states = _states(options.checkpoints)
    paths = []
    for found in atlas(target, plan, folder / "work", say):
        paths += _write(target, plan, found, _training(target, plan, found, states), folder)
    return sorted(paths)


def _plan(target: AuditTarget, options: Options) -> Plan:
    """What the options ask for."""
    from cnnaudit.pages.atlas import Plan

    if not options.layers:
        raise AuditError(_choice(target))
    layers = tuple(dict.fromkeys(options.layers))
    return Plan(layers, settings_of(target, options), options.units, options.batch_size, options.jobs)


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


def _training(
    target: AuditTarget, plan: Plan, found: LayerAtlas, states: Mapping[str, Mapping[str, torch.Tensor]]
) -> Snapshots | None:
    from cnnaudit.pages.atlas import over_training

    if not states:
        return None
    return over_training(target.model, found.layer, found.units[:STRIP], states, plan.settings)


def _write(target: AuditTarget, plan: Plan, found: LayerAtlas, training: Snapshots | None, folder: Path) -> list[Path]:
    """The page and the grids of one layer."""
    from cnnaudit.pages.atlas.page import page
    from cnnaudit.pages.atlas.pictures import animation, grid, strip, window

    name = folder_name(found.layer)
    files: dict[Path, str | bytes] = {folder / f"{name}.html": page(target, plan, found, training)}
    for direction, optima in (("maximum", found.maximum), ("minimum", found.minimum)):
        if optima is not None and not optima.dead.all():
            alive = ~optima.dead
            labels = [str(unit) for unit in optima.units[alive]]
            shown = [window(image, found.middle) for image in optima.images[alive]]
            files[folder / f"{name}-{direction}.png"] = grid(shown, labels)
    if training is not None:
        files[folder / f"{name}-training.png"] = strip(training)
        files[folder / f"{name}-training-animated.png"] = animation(training)
    write(files)
    return list(files)
