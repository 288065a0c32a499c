"""Draws planted defects above their clean twins: python docs/make_plant_pictures.py (half a minute).

Of each check whose plants can be seen in the images, the plainest: a class per column where the defect goes with the
class, else the images that differ most.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from cnnaudit.checks import catalogue, select
from cnnaudit.target import AuditTarget

PICTURES = Path(__file__).parent / "pictures" / "plants"
SIDE, GAP, COLUMNS, HEAD = 84, 4, 6, 14
BY_CLASS = ("dataset.trivial_feature", "shortcut.*")
BY_DIFFERENCE = ("dataset.constant_class", "dataset.minimum_model")


def main() -> None:
    torch.set_num_threads(1)
    PICTURES.mkdir(parents=True, exist_ok=True)
    known = catalogue()
    for id in select([*BY_CLASS, *BY_DIFFERENCE], known):
        pairs = [(plant.defect(0), plant.twin(0)) for plant in known[id].plants]
        number = max(range(len(pairs)), key=lambda k: _difference(*pairs[k]))
        path = PICTURES / f"{id}-{number}.png"
        _drawn(*pairs[number], by_class=id not in BY_DIFFERENCE).quantize(48).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1024} KiB", flush=True)


def _difference(defect: AuditTarget, twin: AuditTarget) -> float:
    """How much the defect changes the images that it changes."""
    ours, theirs = defect.sample("train")[0], twin.sample("train")[0]
    if ours.shape != theirs.shape:
        return -1
    changed = (ours - theirs).abs().amax((1, 2, 3))
    return float(changed[changed > 0].mean()) if (changed > 0).any() else 0


def _drawn(defect: AuditTarget, twin: AuditTarget, by_class: bool) -> Image.Image:
    """Images of the defect above those of its twin."""
    (ours, labels), (theirs, _) = defect.sample("train"), twin.sample("train")
    if by_class:
        each = COLUMNS // min(COLUMNS, len(defect.classes))
        rows = torch.cat([torch.nonzero(labels == k)[:each, 0] for k in range(min(COLUMNS, len(defect.classes)))])
    else:
        rows = (ours - theirs).abs().mean((1, 2, 3)).argsort(descending=True, stable=True)[:COLUMNS]
    names = [defect.classes[label] for label in labels[rows]]
    return _grid([ours[rows].numpy(), theirs[rows].numpy()], names)


def _grid(rows: list[np.ndarray], names: list[str]) -> Image.Image:
    step = SIDE + GAP
    sheet = Image.new("RGB", (COLUMNS * step - GAP, len(rows) * step - GAP + HEAD), "white")
    for x, name in enumerate(names):
        ImageDraw.Draw(sheet).text((x * step + 2, 0), name, fill="black")
    for y, images in enumerate(rows):
        for x, image in enumerate(images):
            pixels = (np.moveaxis(image, 0, -1).repeat(3 // image.shape[0], -1) * 255).round().astype(np.uint8)
            scaled = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(scaled, (x * step, y * step + HEAD))
    return sheet


if __name__ == "__main__":
    main()
