"""What layers keep of one image: inversions, which answer as the image does, and caricatures, which answer more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.evidence import table
from cnnaudit.pages.document import Part, Picture, Section, write_document

if TYPE_CHECKING:
    import torch

    from cnnaudit.pages.atlas import Settings
    from cnnaudit.pages.look.image import Seen
    from cnnaudit.target import AuditTarget

LAYERS = 6  # that are shown where none is named


def write_inverted(
    target: AuditTarget, seen: Seen, layers: Sequence[str], settings: Settings, folder: Path
) -> list[Path]:
    """Write `<folder>/image.html`: the image, its inversion and its caricature by each layer.

    An inversion minimizes |f(I) - f(I0)|^2 / |f(I0)|^2 from gray, a caricature maximizes <f(I), f(I0)> cos(f(I), f(I0))
    from the image itself.

    Raises:
        LayerError: the model has no such layer; near names are told.

    Source: A. Mahendran and A. Vedaldi, Understanding deep image representations by inverting them, 2015; C. Olah et
        al., lucid, 2018 (caricature).
    """
    from cnnaudit.core.progress import progress
    from cnnaudit.optimization import caricature, inversion, maximize
    from cnnaudit.pages.atlas.pictures import grid, rgb

    image = seen.pixels[None].to(target.device)
    chosen = tuple(layers) or _some(target, image)
    shape = (int(image.shape[1]), int(image.shape[2]), int(image.shape[3]))
    shown = [("the image", image[0])]
    rows: list[tuple[str, float, float]] = []
    for layer in progress(chosen, f"layers of {target.name}"):
        back = maximize(target.model, inversion(target.model, layer, image), shape, settings.recipe,
                        steps=settings.steps, seed=settings.seed)  # fmt: skip
        more = maximize(target.model, caricature(target.model, layer, image), shape, settings.recipe,
                        steps=settings.steps, start=image, seed=settings.seed)  # fmt: skip
        shown += [(f"{layer}: inverted", back.images[0]), (f"{layer}: caricature", more.images[0])]
        rows.append((layer, float(-back.height[0]), float(more.height[0] / max(float(more.start[0]), 1e-12))))
    pictures = [rgb((picture.cpu() * 255).round().clamp(0, 255).byte().numpy()) for _, picture in shown]
    parts: list[Part] = [
        Picture("The image and what layers make of it", grid(pictures, [name for name, _ in shown]),
                "The image, then for each layer its inversion and its caricature"),
        table("How far the layers are met", ["layer", "error of the inversion", "caricature / image"], rows),
    ]  # fmt: skip
    worst = max(rows, key=lambda row: row[1])
    lead = f"The inversion of {worst[0]} misses the layer's answer most: {worst[1]:.1%} of its squared norm are left."
    text = [
        seen.story,
        "An inversion began as gray and was changed until the layer answered as to the image: what it lacks, the layer "
        "need not keep (as far as the error that is left allows). A caricature began as the image and was "
        "changed until the layer answered more of the same.",
    ]
    title = f"{seen.name}, as layers of {target.name} keep it"
    return [write_document(folder / "image.html", title, lead, [Section("Layer by layer", text, parts)], "Inversion")]


def _some(target: AuditTarget, image: torch.Tensor) -> tuple[str, ...]:
    """Up to six layers with maps, in equal steps."""
    from cnnaudit.activation import spatial_layers

    names = [call.name for call in spatial_layers(target.model, image)]
    return tuple(names[k] for k in np.unique(np.linspace(0, len(names) - 1, LAYERS).round().astype(int)))
