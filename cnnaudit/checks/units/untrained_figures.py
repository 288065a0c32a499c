"""What `units.untrained` shows: shares of filters like noise, and optimized images with their high frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnaudit.checks.units.untrained import LayerOptima
    from cnnaudit.core.evidence import Evidence
    from cnnaudit.units.untrained import LayerNoise


def weights_evidence(tolerance: float, rows: list[LayerNoise], judged: list[LayerNoise]) -> list[Evidence]:
    """The layers with their shares of noise, the judged ones first."""
    from cnnaudit.core.evidence import bars, table

    of = {row.layer for row in judged}
    order = sorted(rows, key=lambda row: (row.layer not in of, -float(row.noise.mean())))[:24]
    columns = ["layer", "filters tested", "of", "weights of each", "tests", "like noise", "judged"]
    values = [
        [r.layer, len(r.units), r.population, r.weights, ", ".join(r.tests), round(float(r.noise.mean()), 3)]
        for r in order
    ]
    shown = [[*value, row.layer in of] for value, row in zip(values, order)]
    shares = {row.layer: float(row.noise.mean()) for row in order if row.layer in of}
    return [
        table("Filters that cannot be told from noise (untrained: .90)", columns, shown),
        bars("Share of filters like noise, judged layers", shares, label="share of filters", tolerance=tolerance),
    ]


def optimized_evidence(read: Sequence[LayerOptima], null: dict[str, float]) -> list[Evidence]:
    """The optimized images from the smoothest to the roughest, and their shares of high frequencies."""
    from cnnaudit.core.evidence import boxes, images

    spread = {layer.layer: layer.high for layer in read if len(layer.high)}
    label = "share of energy at high frequencies"
    bounds = ", ".join(f"{name} {bound:.2f}" for name, bound in null.items())
    drawn = boxes(f"High frequencies of optimized images (noise: {bounds} and more)", spread, label=label)
    if read[0].images.shape[1] not in (1, 3):
        return [drawn]
    ordered = sorted(
        (
            (h, f"{layer.layer} {u}: {h:.0%}", i.numpy())
            for layer in read
            for h, u, i in zip(layer.high, layer.units, layer.images)
        ),
        key=lambda item: item[0],
    )
    few = [ordered[k] for k in sorted({int(k) for k in np.linspace(0, len(ordered) - 1, min(len(ordered), 12))})]
    title = "Optimized images without a regularizer, with their share of high frequencies"
    return [images(title, np.stack([image for *_, image in few]), [caption for _, caption, _ in few]), drawn]
