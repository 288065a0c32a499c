"""What `units.color_blind` shows: readings by unit and by layer, and optimized images in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from cnnaudit.core.evidence import Evidence
    from cnnaudit.units.color import LayerColor


def blind_share(read: list[LayerColor]) -> float:
    """The share of blind units, by their responses, among those of all layers that move."""
    from cnnaudit.units.color import RESPONSE

    values = np.concatenate([layer.values for layer in read])
    return float((values < RESPONSE).sum() / max(1, np.isfinite(values).sum()))


def response_evidence(
    read: list[LayerColor], twin: list[LayerColor], others: list[tuple[str, float, list[LayerColor]]]
) -> list[Evidence]:
    """The layers with those of the twin, and how far the readings agree."""
    from cnnaudit.core.evidence import curve, table
    from cnnaudit.units.color import RESPONSE, color_agreement

    shares = {"this model": [blind_share([layer]) for layer in read]}
    if twin:
        shares["untrained twin"] = [blind_share([layer]) for layer in twin]
    rows = [
        [
            layer.layer,
            layer.population,
            int((layer.values < RESPONSE).sum()),
            *(round(s[k], 3) for s in shares.values()),
        ]
        for k, layer in enumerate(read)
    ]
    readings = [*others, ("response", RESPONSE, read)]
    agreed = [
        [f"{one} and {other}", a.layer, found.units, _short(found.correlation), _short(found.kappa)]
        for number, (one, first, left) in enumerate(readings)
        for other, second, right in readings[number + 1 :]
        for a in left
        for b in right
        if a.layer == b.layer
        for found in [color_agreement(a, b, (first, second))]
    ]
    numbers = [float(k) for k in range(1, len(read) + 1)]
    return [
        curve("Units blind to color, by layer", numbers, shares, x_label="layer", y_label="share of units"),
        table(
            "Units blind to color by their responses",
            ["layer", "units", "blind", *(f"share, {s}" for s in shares)],
            rows,
        ),
        table("Do the readings agree?", ["readings", "layer", "units", "rank correlation", "kappa"], agreed),
    ]


def color_pictures(read: list[LayerColor], optima: torch.Tensor, values: np.ndarray) -> Evidence:
    """Optimized images from those that lose nothing with their hue to those that lose all."""
    from cnnaudit.core.evidence import images

    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    few = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), 12)).astype(int))]
    names = [f"{layer.layer} {unit}" for layer in read for unit in layer.units]
    title = "Optimized images, with the share of their height that is lost with their hue"
    return images(title, optima[few].numpy(), [f"{names[k]}: {values[k]:.2f}" for k in few])


def color_bars(title: str, read: list[LayerColor], threshold: float) -> Evidence:
    """The values of the units, lowest first, at most 32 in equal steps."""
    from cnnaudit.core.evidence import bars

    named = [(f"{layer.layer} {u}", float(v)) for layer in read for u, v in zip(layer.units, layer.values)]
    ordered = sorted((pair for pair in named if np.isfinite(pair[1])), key=lambda pair: pair[1])
    few = sorted({int(k) for k in np.linspace(0, len(ordered) - 1, min(len(ordered), 32))})
    return bars(title, dict(ordered[k] for k in few), label="0: blind to color", tolerance=threshold)


def _short(value: float | None) -> float | None:
    """Two decimals."""
    return None if value is None else round(value, 2)
