"""The evidence of the padding checks: tables, charts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.checks.padding._blind_spot import GRID, BlindSpot, Grid, Size, Stimulus
from cnnaudit.checks.padding._flips import LayerEffect
from cnnaudit.checks.padding._geometry import Application
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Location

SHOWN = 20  # layers in a table or chart
PICTURES = 6
CELLS = 28  # side of a heat map; larger maps are averaged down


def geometry_table(layers: Sequence[Application]) -> Evidence:
    """Every strided layer with its padding and what becomes of it, uneven ones first."""
    order = sorted(layers, key=lambda layer: (layer.even, layer.cropped == 0))
    rows = []
    for layer in order[:SHOWN]:
        tall, wide = layer.axes
        verdict = "uneven" if not layer.even else "even" if layer.padded else "crop" if layer.cropped else "no padding"
        given = f"{tall.before}/{tall.after}, {wide.before}/{wide.after}"
        read = f"{tall.before}/{tall.reach}, {wide.before}/{wide.reach}"
        cell = [layer.layer, layer.kind, _by(layer.kernel), _by(layer.stride), _by((tall.size, wide.size)), given, read]
        rows.append([*cell, verdict])
    columns = ["layer", "kind", "kernel", "stride", "input", "padding (top/bottom, left/right)", "read", "verdict"]
    return evidence.table("Padding of the strided layers (read -1: the last row or column is left out)", columns, rows)


def layer_bars(
    title: str, names: Sequence[str], shares: np.ndarray, label: str, tolerance: float | None = None
) -> list[Evidence]:
    """One bar per layer in the order of the network, the largest where there are too many; nothing for one layer."""
    kept = sorted(np.argsort(-np.asarray(shares), kind="stable")[:SHOWN])
    values = {names[i]: float(shares[i]) for i in kept}
    return [evidence.bars(title, values, label=label, tolerance=tolerance)] if len(values) > 1 else []


def layer_locations(
    names: Sequence[str], shares: np.ndarray, pixels: Mapping[str, tuple[int, int] | None]
) -> list[Location]:
    """The layers, worst first, with the pixel of each that has one."""
    order = np.argsort(-np.asarray(shares), kind="stable")[:SHOWN]
    return [Location(float(shares[i]), layer=names[i], pixel=pixels.get(names[i])) for i in order]


def map_figure(title: str, values: np.ndarray, label: str) -> Evidence:
    """A map of a layer as a heat map, averaged down where it is large."""
    if max(values.shape) > CELLS:
        size = tuple(min(CELLS, side) for side in values.shape)
        values = F.adaptive_avg_pool2d(torch.from_numpy(values)[None], size)[0].numpy()
    return evidence.heat_map(title, values, label=label)


def peak_pixel(values: np.ndarray) -> tuple[int, int] | None:
    """Row and column of the largest value; None where all are 0."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return (int(row), int(column)) if values.any() else None


def pictures(title: str, images: torch.Tensor, captions: Sequence[str]) -> list[Evidence]:
    """The first images, or nothing where there are none."""
    if not len(images):
        return []
    return [evidence.images(title, images[:PICTURES].numpy(), list(captions[:PICTURES]))]


def marked_images(title: str, images: torch.Tensor, pixels: np.ndarray, size: Sequence[int]) -> list[Evidence]:
    """The first images that have a pixel (row, column) in a map of `size`, each with an orange frame around it."""
    chosen = np.flatnonzero(pixels[:, 0] >= 0)[:PICTURES]
    shown = [_marked(images[i], pixels[i], size) for i in chosen]
    captions = [f"row {pixels[i, 0] + 1}, column {pixels[i, 1] + 1} of {_by((size[0], size[1]))}" for i in chosen]
    return pictures(title, torch.stack(shown), captions) if shown else []


def flip_figures(
    rows: Sequence[Sequence[Any]],
    effects: Sequence[LayerEffect],
    images: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    classes: Sequence[str],
) -> list[Evidence]:
    """The shares of changed predictions, the noise's effect by layer, and images whose prediction changed."""
    columns = ["model", "images", "changed by replicate padding", "changed by noise in the worst layer"]
    changed = (after != before).nonzero().flatten()[:PICTURES]
    captions = [f"{classes[int(before[i])]}, then {classes[int(after[i])]}" for i in changed]
    return [
        evidence.table("Predictions that change with the padding", columns, rows),
        *layer_bars(
            "Changed by noise in one layer's padding, on a few images",
            [effect.layer for effect in effects],
            np.array([effect.flips for effect in effects]),
            "share of predictions",
        ),
        *pictures("Predictions that replicate padding changes", images[changed], captions),
    ]


def blind_spot_figures(
    spot: BlindSpot, null: np.ndarray, stimuli: Sequence[Stimulus], grid: Grid, size: Size, classes: Sequence[str]
) -> list[Evidence]:
    """The map of accuracies, the null distribution, and stimuli that were missed at the worst position."""
    scan = spot.scan
    missed = np.flatnonzero(spot.lost)[:PICTURES]
    shown = [grid.image(stimuli[i], scan.worst, size) for i in missed]
    captions = [f"{classes[spot.truth[i]]}, read as {classes[spot.worst[i]]}" for i in missed]
    return [
        evidence.heat_map(
            f"Where content is recognized ({len(scan.correct)} images)",
            scan.correct.mean(0).reshape(GRID, GRID),
            label="accuracy",
            rows="moved down" if grid.moves else "top to bottom",
            columns="moved right" if grid.moves else "left to right",
        ),
        evidence.null_distribution(
            "If positions did not matter",
            null,
            scan.largest_drop(),
            label="true class's mean probability, best position less worst",
        ),
        *(
            pictures("Recognized elsewhere, missed at the worst position", torch.stack(shown), captions)
            if shown
            else []
        ),
    ]


def _marked(image: torch.Tensor, pixel: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """The image in color with an orange frame around what a pixel of a map of `size` covers."""
    height, width = image.shape[-2:]
    thick = max(1, height // 56)
    top, bottom = int(pixel[0] * height / size[0]), int(np.ceil((pixel[0] + 1) * height / size[0]))
    left, right = int(pixel[1] * width / size[1]), int(np.ceil((pixel[1] + 1) * width / size[1]))
    frame = torch.zeros(height, width, dtype=torch.bool)
    frame[max(top - thick, 0) : bottom + thick, max(left - thick, 0) : right + thick] = True
    frame[top:bottom, left:right] = False
    color = image.expand(3, -1, -1).clone()
    color[:, frame] = torch.tensor([0.9, 0.4, 0.0])[:, None]
    return color


def _by(pair: tuple[int, int]) -> str:
    """7 x 7."""
    return f"{pair[0]} x {pair[1]}"
