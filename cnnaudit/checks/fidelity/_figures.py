"""What the fidelity findings show: each method beside the two baselines, curves and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.methods import METHODS, saliency
from cnnaudit.checks.fidelity._deconvnet import Difference
from cnnaudit.checks.fidelity._deletion import FRACTIONS, Deletion
from cnnaudit.checks.fidelity._pointing_game import Box, spill
from cnnaudit.checks.fidelity._quiet import quiet
from cnnaudit.checks.fidelity._randomization import Randomization
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence

Tables = Callable[[str, bool], list[Evidence]]
_BESIDE = ("gradient", "guided_backpropagation", "edges", "blank")


def randomization_tables(measured: Mapping[str, Randomization]) -> Tables:
    """Makes the table of one method beside the baselines; of all methods where asked."""
    columns = [
        *("method", "images", "survives", "random weights", "upper half random"),
        *("other images", "itself under noise", "rise of complexity"),
    ]
    rows = {}
    for name, found in measured.items():
        means = [found.random.mean(), found.stages[0.5], found.other.mean(), found.itself.mean()]
        kept = found.kept() if found.judgeable else None
        rows[name] = [len(found.random), *(_short(value) for value in (kept, *means, found.complexity.mean()))]
    return _beside("Rank correlation of a map with the same image's map under …", columns, rows)


def randomization_pictures(found: Randomization, grid: tuple[int, int]) -> Evidence:
    """The first image's map beside that of a random network, both on the grid and each on its own scale."""
    planes = found.example.reshape(2, 1, *grid)
    scaled = planes / np.maximum(planes.max((1, 2, 3), keepdims=True), 1e-30)
    return evidence.images("The map of one image", scaled, ["in this model", "in a random network"])


def deletion_tables(measured: Mapping[str, Deletion], intervals: Mapping[str, tuple[float, float] | None]) -> Tables:
    """Makes the table of one method beside the baselines; of all methods where asked."""
    columns = ["method", "images", "beyond elsewhere", "low", "high"]
    rows = {
        name: [len(found.before), _short(found.gain()), *(_short(end) for end in intervals[name] or (None, None))]
        for name, found in measured.items()
    }
    return _beside("Probability taken away beyond the same map elsewhere, as a share of what can be", columns, rows)


def deletion_curves(found: Deletion, edges: Deletion) -> Evidence:
    """Mean probability of the predicted class as the most attributed cells go; on this method's images."""
    n = len(found.before)
    lines = {"by the map": found.method, "by the map elsewhere": found.random, "by edges": edges.method[:n]}
    shown = {
        name: [float(f"{value:.3g}") for value in (found.before.mean(), *curve.mean(0))]
        for name, curve in lines.items()
        if len(curve) == n
    }
    return evidence.curve(
        "Probability of the predicted class as cells are replaced",
        [0.0, *FRACTIONS],
        shown,
        x_label="share of the cells replaced",
        y_label="probability",
    )


def difference_table(found: Sequence[Difference]) -> Evidence:
    """Each picture that was compared."""
    rows = [[item.what, item.layer or None, float(f"{item.share:.3g}")] for item in found]
    return evidence.table("Energy that lies where it should not", ["picture", "layer", "share of the energy"], rows)


def placed_table(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, boxes: Sequence[Box], units: float
) -> Evidence:
    """How much of other methods' maps of the predicted class lies beside the content."""
    rows: list[list[Any]] = [["Deconvnet of the strongest units", _short(units)]]
    for name in _BESIDE:
        try:
            maps = saliency(quiet(name, model, images, classes, None))
        except UnsupportedError:
            continue
        rows.append([METHODS[name].title, _short(float(spill(maps, list(boxes)).mean()))])
    return evidence.table("Mean energy outside the content, as a share of outside and inside", ["map", "share"], rows)


def placed_pictures(images: torch.Tensor, maps: torch.Tensor, shares: np.ndarray) -> Evidence:
    """The best, a middling and the worst image, each beside the deconvnet's picture."""
    order = np.argsort(shares)
    pictures, captions = [], []
    for row in dict.fromkeys((order[0], order[len(order) // 2], order[-1])):
        plane = maps[int(row)].detach().cpu()
        pictures += [_three(images[int(row)].cpu()), _three((plane / plane.max().clamp(min=1e-12))[None])]
        captions += ["content at a random place", f"deconvnet, {shares[row]:.2f} outside"]
    return evidence.images("Where the deconvnet's picture stands", torch.stack(pictures).numpy(), captions)


def _beside(title: str, columns: Sequence[str], rows: Mapping[str, list[Any]]) -> Tables:
    """A table with the row of one method and the baselines' rows, or with all rows."""

    def shown(name: str, everything: bool) -> list[Evidence]:
        names = [key for key in rows if everything or key == name or METHODS[key].baseline]
        return [evidence.table(title, columns, [[METHODS[key].title, *rows[key]] for key in names])]

    return shown


def _three(image: torch.Tensor) -> torch.Tensor:
    """The image (C, H, W) with three channels."""
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
