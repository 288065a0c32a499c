"""Class model visualization, and the units of dense layers: an optimized image of each beside the best of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import AuditError
from cnnaudit.core.evidence import table
from cnnaudit.pages.document import Part, Picture, Section, document
from cnnaudit.pages.output import write
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import number, plural

if TYPE_CHECKING:
    import pandas
    import torch

    from cnnaudit.optimization import OptimizedImages
    from cnnaudit.pages.atlas import Settings
    from cnnaudit.target import AuditTarget

AMONG = 500  # images of the data that the best are sought among
WEIGHT = 0.01  # of the squared norm that is taken off a class score


@dataclass(frozen=True, eq=False)
class Goals:
    """Optimized images of goals that are one number each, and what the data reach.

    Attributes:
        names: of the goals.
        found: their images.
        reached: (goals,), the value on the optimized image, without any penalty.
        values: (n, goals) on the images of the data; `images` and `labels` are theirs.
    """

    names: tuple[str, ...]
    found: OptimizedImages
    reached: np.ndarray
    values: np.ndarray
    images: torch.Tensor
    labels: np.ndarray
    classes: tuple[str, ...]

    def to_frame(self) -> pandas.DataFrame:
        """One row per goal: the value of the first image, of the optimum and of the best image, and whose class."""
        import pandas

        best = self.values.argmax(axis=0)
        return pandas.DataFrame(
            {
                "goal": self.names,
                "optimum": self.reached,
                "best image": self.values.max(axis=0),
                "class of the best image": [self.classes[label] for label in self.labels[best]],
                "outcome": self.found.outcome,
                "steps": self.found.steps,
            }
        )


def write_goals(target: AuditTarget, layer: str | None, units: Sequence[int] | None, settings: Settings,
                folder: Path, batch_size: int | None = None) -> list[Path]:  # fmt: skip
    """Write the page and the table of all classes (`layer` None), or of units of a dense layer.

    Args:
        units: their numbers; None: all.

    Raises:
        AuditError: a unit that the layer does not have; what `maximize` raises.
    """
    goals = goals_of(target, layer, units, settings, batch_size)
    name = "classes" if layer is None else folder_name(layer)
    paths = [folder / f"{name}.html", folder / f"{name}.csv"]
    write({paths[0]: page(target, layer, goals, settings), paths[1]: goals.to_frame().to_csv(index=False)})
    return paths


def goals_of(
    target: AuditTarget,
    layer: str | None,
    units: Sequence[int] | None,
    settings: Settings,
    batch_size: int | None = None,
) -> Goals:
    """The optimized images, and the same numbers on images of the data.

    A class maximizes its logit less .01 |I - gray|^2, a unit its value.
    """
    from cnnaudit.embedding.layer_values import layer_values
    from cnnaudit.optimization import logit, maximize, squared_norm, unit

    split = "validation" if "validation" in target.splits or not target.splits else "train"
    images, labels = target.sample(split, AMONG, target.seed)

    def values_of(shown: torch.Tensor) -> np.ndarray:
        if layer is None:
            return np.asarray(target.logits(shown).numpy())
        return layer_values(target.model, shown, [layer], batch_size=target.batch_size, device=target.device)[layer]

    values = values_of(images)
    chosen = list(range(values.shape[1])) if units is None else list(units)
    if wrong := [k for k in chosen if not 0 <= k < values.shape[1]]:
        raise AuditError(f"--units: layer {layer!r} has the units 0..{values.shape[1] - 1}, got {wrong[0]}")
    objective = logit(chosen) - WEIGHT * squared_norm() if layer is None else unit(layer, chosen)
    size = batch_size or (16 if target.device == "cpu" else 512)
    said = "classes" if layer is None else f"units of {layer}"
    found = maximize(
        target.model, objective, settings.shape, settings.recipe,
        steps=settings.steps, batch_size=size, seed=settings.seed, description=f"{said} of {target.name}",
    )  # fmt: skip
    reached = values_of(found.images.cpu())[np.arange(len(chosen)), chosen]
    names = tuple(target.classes[k] if layer is None else f"unit {k}" for k in chosen)
    return Goals(names, found, reached, values[:, chosen], images, labels.numpy(), tuple(target.classes))


def page(target: AuditTarget, layer: str | None, goals: Goals, settings: Settings) -> str:
    """The page as HTML."""
    above = int((goals.reached > goals.values.max(axis=0)).sum())
    dead = goals.found.dead
    what = f"{len(goals.names)} classes" if layer is None else plural(len(goals.names), "unit")
    lead = f"Optimized images of {above} of {what} score higher than any of {plural(len(goals.labels), 'image')}."
    if dead:
        lead += f" Nothing that was tried moved {plural(len(dead), 'goal')}; what is shown of them is where they began."
    goal = (
        "The score of a class is its logit less .01 times the squared norm of the image's difference from gray "
        "(Simonyan et al. 2013): what the network takes for the class, exaggerated."
        if layer is None
        else "The value of a unit of a dense layer is driven up: it sees the whole image."
    )
    steps = plural(int(goals.found.steps.max(initial=0)), "step")
    text = [
        f"{goal} On the left of each picture is the optimized image, on the right are the four of "
        f"{plural(len(goals.labels), 'image')} of the data with the highest value.",
        f"Recipe {settings.recipe}, up to {steps}, seed {settings.seed}.",
    ]
    frame = goals.to_frame()
    rows = [[value if isinstance(value, str) else number(float(value)) for value in row] for row in frame.to_numpy()]
    parts: list[Part] = [
        Picture("Optimized images and best images", _pictures(goals), "Optimized images, each with four of the data"),
        table("Values", list(frame.columns), rows),
    ]
    title = f"What {target.name} takes for its classes" if layer is None else f"Layer {layer} of {target.name}"
    return document(title, lead, [Section("Optimized and natural", text, parts)], "Activation maximization")


def _pictures(goals: Goals) -> bytes:
    """A PNG of all goals, the highest optimum first."""
    from PIL import Image

    from cnnaudit.pages.atlas.pictures import THUMB, grid, patch, rgb, sheet

    order = np.argsort(-goals.reached, kind="stable")
    shown, labels = [], []
    for k in order:
        optimum = rgb(_bytes(goals.found.images[k])).resize((2 * THUMB, 2 * THUMB), Image.Resampling.BICUBIC)
        best = np.argsort(-goals.values[:, k], kind="stable")[:4]
        joined = Image.new("RGB", (4 * THUMB + 6, 2 * THUMB + 2), (255, 255, 255))
        joined.paste(optimum, (0, 0))
        joined.paste(sheet([patch(_bytes(goals.images[j]), None) for j in best]), (2 * THUMB + 4, 0))
        shown.append(joined)
        values = f"{number(float(goals.reached[k]))}, best image {number(float(goals.values[:, k].max()))}"
        labels.append(f"{goals.names[k][:18]}: {values}")
    return grid(shown, labels)


def _bytes(image: torch.Tensor) -> np.ndarray:
    """uint8 (1 or 3, H, W)."""
    return np.asarray((image[: 1 if len(image) < 3 else 3].cpu() * 255).round().clamp(0, 255).byte().numpy())
