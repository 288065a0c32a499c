"""What the findings of `fidelity.deconvnet` show: differences, and pictures beside the content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.methods import METHODS, saliency
from cnnaudit.checks.fidelity._attribution_maps import quiet
from cnnaudit.checks.fidelity._baseline_tables import short
from cnnaudit.checks.fidelity._deconvnet import Difference
from cnnaudit.checks.fidelity._pointing_game import Box, spill
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence

_BESIDE = ("gradient", "guided_backpropagation", "edges", "blank")


def difference_table(found: Sequence[Difference]) -> Evidence:
    """Each picture that was compared."""
    rows = [[item.what, item.layer or None, float(f"{item.share:.3g}")] for item in found]
    return evidence.table("Energy that lies where it should not", ["picture", "layer", "share of the energy"], rows)


def placed_table(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, boxes: Sequence[Box], units: float
) -> Evidence:
    """How much of other methods' maps of the predicted class lies beside the content."""
    rows: list[list[Any]] = [["Deconvnet of the strongest units", short(units)]]
    for name in _BESIDE:
        try:
            maps = saliency(quiet(name, model, images, classes, None))
        except UnsupportedError:
            continue
        rows.append([METHODS[name].title, short(float(spill(maps, list(boxes)).mean()))])
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


def _three(image: torch.Tensor) -> torch.Tensor:
    """The image (C, H, W) with three channels; the mean of its channels where it is neither gray nor in color."""
    return image if image.shape[0] == 3 else image.mean(0, keepdim=True).expand(3, -1, -1)
