"""Torch datasets of (image, label) pairs, read lazily."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.progress import progress
from cnnaudit.core.wording import one_line
from cnnaudit.target.numbers import as_array
from cnnaudit.target.preparation import allocate, prepare

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from cnnaudit.target import InputSpec


class DatasetSplit:
    """A split made of a torch `Dataset` whose items are (image, label).

    A Pillow image is prepared like a file (`cnnaudit.target.preparation.prepare`). A tensor or array, (C, H, W) or
    (H, W), uint8 or float in [0, 1], is taken as it is and must have the size of `spec`. Labels come from the
    dataset's `targets` where it has them (as torchvision's do, `Subset` included), else every item is read once.

    Args:
        split: its name, for messages.
        classes: how many classes the labels may name.

    Raises:
        DataError: there are no items, or a label is out of range.
    """

    def __init__(self, split: str, dataset: Any, classes: int, spec: InputSpec) -> None:
        self._split, self._dataset, self._spec = split, dataset, spec
        if not _length(split, dataset):
            raise DataError(f"{split}: the dataset has no items")
        self._labels = _labels(split, dataset)
        low, high = int(self._labels.min()), int(self._labels.max())
        if not 0 <= low <= high < classes:
            raise DataError(f"{split}: labels must be in 0..{classes - 1} for {classes} classes, got {low}..{high}")

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """Nothing: a dataset's items carry only their label."""
        return {}

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1].

        Raises:
            DataError: an image has another size than `spec` or pixels outside [0, 1]; the message names it.
        """
        import torch

        images = allocate(len(indices), self._spec)
        for row, index in enumerate(progress(indices, f"reading {self._split}", total=len(indices))):
            images[row] = self._pixels(int(index))
        return torch.from_numpy(images)

    def name(self, index: int) -> str:
        """A name for messages, such as `train[17]`."""
        return f"{self._split}[{index}]"

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """Nothing: a dataset's items come from no files that we know."""
        return {}

    def _pixels(self, index: int) -> np.ndarray:
        from PIL import Image

        image = _item(self.name(index), self._dataset, index)[0]
        if isinstance(image, Image.Image):
            return self._prepared(image, index)
        pixels = as_array(self.name(index), image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        expected = (self._spec.channels, *self._spec.size)
        if pixels.shape != expected:
            raise DataError(
                f"{self.name(index)}: expected (C, H, W) = {expected} as [input] says, got {pixels.shape}. "
                "Return Pillow images to have them resized"
            )
        if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
            raise DataError(f"{self.name(index)}: expected uint8 or float pixels, got {pixels.dtype}")
        pixels = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise DataError(
                f"{self.name(index)}: expected pixels in [0, 1], got {low:g}..{high:g}. "
                "Leave normalization out of the dataset and give it as input.mean and input.std"
            )
        return pixels

    def _prepared(self, image: Image.Image, index: int) -> np.ndarray:
        try:
            return prepare(image, self._spec)
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error …
            reason = str(error) if isinstance(error, AuditError) else one_line(error)
            raise DataError(f"{self.name(index)}: the image cannot be prepared ({reason})") from None


def _length(split: str, dataset: Any) -> int:
    """How many items the dataset has."""
    try:
        return len(dataset)
    except Exception as error:
        raise DataError(f"{split}: the dataset has no length ({one_line(error)})") from None


def _item(name: str, dataset: Any, index: int) -> tuple[Any, Any]:
    """The pair (image, label) of an item."""
    try:
        image, label = dataset[index]
    except AuditError:
        raise
    except Exception as error:
        raise DataError(f"{name}: expected a pair (image, label), reading it raised {one_line(error)}") from error
    return image, label


def _labels(split: str, dataset: Any) -> np.ndarray:
    """The labels of all items, int64 (N,)."""
    labels = _targets(split, dataset)
    if labels is None:
        items = progress(range(len(dataset)), f"reading labels of {split}")
        found = [as_array(f"{split}[{k}]: label", _item(f"{split}[{k}]", dataset, k)[1]) for k in items]
        labels = as_array(f"{split}: labels", [label.item() if label.size == 1 else label for label in found])
    if labels.shape != (len(dataset),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{split}: expected {len(dataset)} integer labels, one per item, got {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(np.int64)


def _targets(split: str, dataset: Any) -> np.ndarray | None:
    """The labels that the dataset (or the one that it is a `Subset` of) keeps in `targets`, if any."""
    if hasattr(dataset, "targets"):
        return as_array(f"{split}: targets", dataset.targets)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        inner = _targets(split, dataset.dataset)
        return None if inner is None else inner[np.asarray(dataset.indices)]
    return None
