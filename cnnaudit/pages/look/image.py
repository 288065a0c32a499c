"""The image that a page looks at, as its model takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as the model takes it, float32 (C, H, W) in [0, 1], its name, and what was done to the file."""

    name: str
    pixels: torch.Tensor
    story: str


def see(target: AuditTarget, image: str | Path) -> Seen:
    """The image as the model takes it.

    Raises:
        DataError: there is no such file, or it is no image.
    """
    import torch

    from cnnaudit.target.preparation import load, opened

    if (member := re.fullmatch(r"(train|validation)\[(\d+)\]", str(image))) is not None:
        return _member(target, member[1], int(member[2]))
    path = Path(image)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give an image, or validation[0] for one of the target's own")
    spec = target.input
    with opened(path, str(path)) as file:
        width, height, mode = file.width, file.height, file.mode
    pixels = torch.from_numpy(load(path, spec, str(path)))
    gray = mode in ("1", "L", "LA", "I", "F") or mode.startswith("I;16")
    parts = [f"The file has {height} x {width} pixels (height x width), {'gray' if gray else 'in color'}."]
    if (height, width) == spec.size:
        parts.append("That is the size the model takes.")
    elif spec.resize is None:
        parts.append(f"It was resized to {by(spec.size)}, as the audit file says.")
    else:
        parts.append(
            f"Its shorter side was resized to {spec.resize} and the middle {by(spec.size)} "
            "kept, as the audit file says."
        )
    if gray and spec.channels == 3:
        parts.append("The model takes color: each of the three channels holds the same gray.")
    if not gray and spec.channels == 1:
        parts.append("The model takes gray: the colors were converted to their luminance.")
    return Seen(path.name, pixels, " ".join(parts))


def _member(target: AuditTarget, split: str, index: int) -> Seen:
    """An image of the target's own data."""
    data = target.split(split)
    count = len(data.labels)
    if index >= count:
        raise DataError(f"{split}[{index}]: {target.name} has the images {split}[0] to {split}[{count - 1}]")
    label = target.classes[int(data.labels[index])]
    name = data.name(index)
    return Seen(name, data.read(np.array([index]))[0], f"It is an image of the target's own data, labelled {label}.")


def by(size: tuple[int, ...]) -> str:
    """`224 x 224`."""
    return " x ".join(str(side) for side in size)
