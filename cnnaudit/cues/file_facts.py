"""What the image file itself says: format, size, camera, name, letterbox."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnaudit.core.errors import DataError
from cnnaudit.cues.protocol import check_images

_FREQUENT = 16
_FLAT = 2 / 255


@dataclass(frozen=True)
class FileFacts:
    """Columns that describe files, as numbers; they can be read, but not transplanted.

    Attributes:
        numbers: names of columns used as they are.
        values: name of a text column and one of its 16 most frequent values in training, each a column of 0 and 1.

    Example:
        >>> facts = FileFacts.of({"format": np.array(["JPEG", "PNG", "PNG"]), "width": np.array([64, 64, 32])})
        >>> facts.columns, facts.read({"format": np.array(["PNG"]), "width": np.array([64])}).tolist()
        (('width', 'format: PNG', 'format: JPEG'), [[64.0, 1.0, 0.0]])
    """

    numbers: tuple[str, ...]
    values: tuple[tuple[str, str], ...]
    name: str = "file"

    @classmethod
    def of(cls, properties: Mapping[str, np.ndarray]) -> FileFacts:
        """The facts that the training split's properties hold."""
        numbers = tuple(key for key, column in properties.items() if np.asarray(column).dtype.kind in "biuf")
        values: list[tuple[str, str]] = []
        for key, column in properties.items():
            if key not in numbers:
                found, counts = np.unique(np.asarray(column).astype(str), return_counts=True)
                values += [(key, str(found[k])) for k in np.argsort(-counts, kind="stable")[:_FREQUENT]]
        return cls(numbers, tuple(values))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each feature says."""
        return (*self.numbers, *(f"{key}: {value}" for key, value in self.values))

    def read(self, properties: Mapping[str, np.ndarray]) -> np.ndarray:
        """The features, float64 (N, F); an unknown number is -1.

        Raises:
            DataError: a column is missing.
        """
        missing = {*self.numbers, *(key for key, _ in self.values)} - set(properties)
        if missing:
            raise DataError(f"file facts: expected the columns of the training split, missing: {sorted(missing)}")
        columns = [np.asarray(properties[key], dtype=float) for key in self.numbers]
        columns += [(np.asarray(properties[key]).astype(str) == value).astype(float) for key, value in self.values]
        found: np.ndarray = np.nan_to_num(np.stack(columns, axis=1), nan=-1.0, posinf=-1.0, neginf=-1.0)
        return found


def name_prefixes(names: Sequence[str]) -> np.ndarray:
    """The letters that each file's name begins with, before its first digit, `_`, `-`, `.` or space: (N,).

    Example:
        >>> name_prefixes(["IMG_0001.jpg", "scan12.png"]).tolist()
        ['IMG', 'scan']
    """
    return np.array([re.split(r"[\d_\-. ]", name, maxsplit=1)[0] for name in names], dtype=str)


def letterbox_widths(images: Tensor) -> Tensor:
    """Width of the plain border on each side, as a share of the image's height or width: (N, 4).

    Top, bottom, left, right; a row or column belongs to the border while it is of one color, that of the image's edge,
    within 2/255. A plain image has 1 everywhere.

    Args:
        images: (N, C, H, W) in [0, 1].
    """
    check_images(images, "letterbox")
    widths = []
    for turned in (images, images.flip(2), images.transpose(2, 3), images.transpose(2, 3).flip(2)):
        plain = ((turned - turned[:, :, :1, :1]).abs() <= _FLAT).all(dim=3).all(dim=1)
        widths.append(plain.to(images.dtype).cumprod(dim=1).mean(dim=1))
    return torch.stack(widths, dim=1)
