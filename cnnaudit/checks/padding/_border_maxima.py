"""Where the strongest responses of each layer lie, with its own and with replicate padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.padding._layer_responses import batches, responses
from cnnaudit.data.background import backgrounds, over_background, ring


@dataclass(frozen=True, slots=True)
class BorderMaxima:
    """Where the maxima of the quadrants of the maps lie; counts are over units and quadrants.

    Attributes:
        layers: the convolutions, in the order of the columns.
        live: (N, L), quadrants with a maximum above 0, with the network's own padding or with replicate padding.
        won: (N, L), those whose maximum lies in the border ring over background.
        won_replicate: (N, L), the same under replicate padding.
        ring_share: (L,), share of the ring in the map's area.
        maps: per layer (h, w), how often (per image) a pixel of the ring held such a maximum.
        pixels: (N, L, 2), row and column of the strongest of them; -1 where there is none.
    """

    layers: tuple[str, ...]
    live: np.ndarray
    won: np.ndarray
    won_replicate: np.ndarray
    ring_share: np.ndarray
    maps: Mapping[str, np.ndarray]
    pixels: np.ndarray

    def excess(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Per layer (L,), (won - won_replicate) / live, each summed over all images or those of `rows`."""
        chosen = slice(None) if rows is None else rows
        more = (self.won - self.won_replicate)[chosen].sum(0)
        return np.asarray(more / np.maximum(self.live[chosen].sum(0), 1))


def border_maxima(
    model: nn.Module, images: torch.Tensor, layers: Mapping[str, str], *, batch_size: int = 16, device: str = "cpu"
) -> BorderMaxima:
    """How often the strongest pixel of a quadrant lies in the outermost ring over background.

    Each unit's map is cut into its four quadrants. A quadrant counts as won by the border where its largest value
    above 0 lies in the outermost ring, over background, and nowhere else (ties go to the rest). The same network
    under replicate padding says what the images' content and the ring's area predict.

    Quadrants, not whole maps, because a classifier reads pooled cells, and a strong object in one corner must not hide
    the border's maxima in the others: on dataset 3.0 of the source the excess over replicate padding tells all
    networks with zero padding from those with replicate, reflect and circular padding (AUC 1.00 with quadrants, .94
    with whole maps).

    Args:
        images: float (N, C, H, W).
        layers: as `padded_layers` gives them.

    Source: España, Sensitivity analysis of the CNN learning process using synthetic images, 2021 (pixel (28, 28)).
    """
    kept: dict[str, list[np.ndarray]] = {"live": [], "won": [], "won_replicate": [], "pixels": []}
    maps: dict[str, np.ndarray] = {name: np.zeros(()) for name in layers}
    areas: dict[str, float] = {}
    for batch in batches(model, images, batch_size, device, "border maxima"):
        native, extended = responses(model, batch, layers), responses(model, batch, layers, replicate=True)
        colors = backgrounds(batch)
        columns: list[tuple[torch.Tensor, ...]] = []
        for name in layers:
            height, width = native[name].shape[-2:]
            edge = over_background(batch, colors, (height, width)) & ring(height, width).to(batch.device)
            own, other = _contest(native[name], edge), _contest(extended[name], edge)
            live = (own.live | other.live).sum((1, 2))
            columns.append((live, own.won.sum((1, 2)), other.won.sum((1, 2)), own.best()))
            maps[name] = maps[name] + own.frequency((height, width)) / len(images)
            areas[name] = float(ring(height, width).double().mean())
        for values, column in zip(kept.values(), zip(*columns)):
            values.append(torch.stack(column, 1).cpu().numpy())
    counts = {key: np.concatenate(values) for key, values in kept.items()}
    return BorderMaxima(tuple(layers), ring_share=np.array([areas[name] for name in layers]), maps=maps, **counts)


@dataclass(frozen=True, slots=True)
class _Contest:
    """The border's maxima against the others: each (N, C, 4), positions as (row, column) in the map (N, C, 4, 2)."""

    live: torch.Tensor
    won: torch.Tensor
    strength: torch.Tensor
    position: torch.Tensor

    def best(self) -> torch.Tensor:
        """Row and column of each image's strongest maximum at the border (N, 2); -1 where there is none."""
        strength = torch.where(self.won, self.strength, -torch.inf).flatten(1)
        chosen = strength.argmax(1)
        position = self.position.flatten(1, 2)[torch.arange(len(chosen)), chosen]
        return torch.where(self.won.flatten(1).any(1, keepdim=True), position, -1)

    def frequency(self, size: tuple[int, ...]) -> np.ndarray:
        """How often each pixel of the map won."""
        rows, columns = self.position[self.won].cpu().numpy().T
        count = np.zeros(size)
        np.add.at(count, (rows, columns), 1)
        return count


def _contest(activations: torch.Tensor, edge: torch.Tensor) -> _Contest:
    """Per unit and quadrant, whether the largest value lies on `edge` (N, h, w), part of the ring, and nowhere else."""
    height, width = activations.shape[-2:]
    outline = ring(height, width)
    strengths, positions, others = [], [], []
    for top, bottom in ((0, height // 2), (height // 2, height)):
        for left, right in ((0, width // 2), (width // 2, width)):
            rows, columns = outline[top:bottom, left:right].nonzero(as_tuple=True)
            rows, columns = (rows + top).to(activations.device), (columns + left).to(activations.device)
            cells, eligible = activations[..., rows, columns], edge[:, None, rows, columns]
            strength, index = torch.where(eligible, cells, -torch.inf).max(-1)
            strengths.append(strength)
            positions.append(torch.stack([rows[index], columns[index]], -1))
            inner = activations[..., max(top, 1) : min(bottom, height - 1), max(left, 1) : min(right, width - 1)]
            rest = torch.where(eligible, -torch.inf, cells).amax(-1)
            others.append(torch.maximum(inner.amax((-2, -1)), rest))
    strength, other = torch.stack(strengths, -1), torch.stack(others, -1)
    live = torch.maximum(strength, other) > 0
    return _Contest(live, live & (strength > other), strength, torch.stack(positions, -2))
