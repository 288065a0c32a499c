"""Whatever an audit file names as its data, as a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import DataError
from cnnaudit.target.arrays import ArraySplit
from cnnaudit.target.datasets import DatasetSplit
from cnnaudit.target.folders import FolderSplit

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec, Split


def as_split(
    name: str,
    value: Any,
    classes: Sequence[str],
    spec: InputSpec,
    metadata: Path | None = None,
    base: Path | None = None,
) -> Split:
    """The split that a source describes.

    Args:
        name: `train` or `validation`, for messages.
        value: a folder with a folder per class (`str` or `Path`), or what a `module:callable` returned: a pair
            (images, labels), an object with `.images` and `.labels` (and, where it has it, a mapping `.metadata`), or a
            torch `Dataset` of (image, label) pairs.
        classes: the class names in the order of the labels.
        spec: what the model takes.
        metadata: a CSV file about the images of folders.
        base: the audit file's folder, that file names are given relative to.

    Raises:
        DataError: the value is nothing of these, does not fit `classes` or `spec`, or is a folder that cannot be used.
    """
    if isinstance(value, (str, Path)):
        return FolderSplit(Path(value), classes, spec, metadata, base)
    if metadata is not None:
        raise DataError(f"data.metadata describes image files, but data.{name} is a callable: give it '.metadata'")
    columns: Mapping[str, Any] = {}
    if isinstance(value, (tuple, list)) and len(value) == 2:
        images, labels = value
    elif hasattr(value, "images") and hasattr(value, "labels"):
        images, labels, columns = value.images, value.labels, getattr(value, "metadata", {})
    elif hasattr(value, "__getitem__") and hasattr(value, "__len__"):
        return DatasetSplit(name, value, len(classes), spec)
    else:
        raise DataError(
            f"data.{name}: expected a folder, (images, labels), an object with .images and .labels, or a torch "
            f"Dataset of (image, label) pairs, got {type(value).__name__}"
        )
    if not isinstance(columns, Mapping):
        raise DataError(f"data.{name}: expected '.metadata' to be a mapping of columns, got {type(columns).__name__}")
    split = ArraySplit(name, images, labels, len(classes), columns)
    if split.shape != (spec.channels, *spec.size):
        raise DataError(
            f"data.{name}: the images are {split.shape} (channels, height, width), but [input] says "
            f"{(spec.channels, *spec.size)}. Change input.channels and input.size, or the images"
        )
    return split
