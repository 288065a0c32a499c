"""Map-style datasets: of torch, torchvision and Hugging Face, and lists of rows; images are read lazily."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.progress import progress
from cnnaudit.core.wording import one_line
from cnnaudit.target.formats import formats
from cnnaudit.target.numbers import as_array
from cnnaudit.target.preparation import allocate, load, prepare
from cnnaudit.target.rows import ONE_LABEL, Row, as_row, class_of, class_places, metadata_of
from cnnaudit.target.tensors import as_pixels

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from cnnaudit.target import InputSpec


class DatasetSplit:
    """A split made of a dataset whose items are (image, label), or dicts with an image and a label.

    A Pillow image, an encoded one and a file are prepared like a file (`cnnaudit.target.preparation.prepare`). A tensor
    or array, (C, H, W) or (H, W), uint8 or float in [0, 1], is taken as it is and must have the size of `spec`. Labels
    come from the dataset's `targets` or its column of labels where it has them (`Subset` included), else every item is
    read once, and what else its dicts hold becomes metadata. Labels are positions in `classes` or names of them; a
    dataset that names its own classes in another order is translated by the names.

    Args:
        split: its name, for messages.
        classes: the class names in the order of the logits.
        label: the key of the label in dicts, or the place of the wanted one in a vector of labels.
        base: where relative paths start.

    Raises:
        DataError: there are no items, or a label is no class.
    """

    def __init__(
        self,
        split: str,
        dataset: Any,
        classes: Sequence[str],
        spec: InputSpec,
        label: str | int | None = None,
        base: Path | None = None,
    ) -> None:
        self._split, self._dataset, self._spec, self._label = split, dataset, spec, label
        self._base = base or Path()
        if not _length(split, dataset):
            raise DataError(f"{split}: the dataset has no items")
        names = _class_names(dataset, label)
        places = class_places(split, names, classes) if names else None
        self._metadata: Mapping[str, np.ndarray] = {}
        if (targets := _targets(split, dataset, label)) is None:
            every = progress(range(len(dataset)), f"reading labels of {split}")
            found = [(row.label, row.others) for row in (self._row(k) for k in every)]
            targets, self._metadata = [each for each, _ in found], metadata_of([others for _, others in found])
        elif _is_hugging_face(dataset):
            self._metadata = _other_columns(dataset, label)
        if len(targets) != len(dataset):
            raise DataError(f"{split}: expected {len(dataset)} integer labels, one per item, got {len(targets)}")
        pick = label if isinstance(label, int) else None
        self._labels = np.array(
            [class_of(self.name(k), each, classes, places, pick) for k, each in enumerate(targets)], dtype=np.int64
        )

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """What the dataset's dicts or columns hold beside image and label, each (N,)."""
        return self._metadata

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

    def _row(self, index: int) -> Row:
        try:
            item = self._dataset[index]
        except AuditError:
            raise
        except Exception as error:
            raise DataError(
                f"{self.name(index)}: expected a pair (image, label), reading it raised {one_line(error)}"
            ) from error
        return as_row(self.name(index), item, self._label)

    def _pixels(self, index: int) -> np.ndarray:
        from PIL import Image

        image = self._row(index).image
        if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):  # as datasets keeps undecoded images
            return prepared(image["bytes"], self._spec, self.name(index))
        if isinstance(image, Mapping):
            image = image.get("path")
        if isinstance(image, (str, Path)):
            return load(self._base / image, self._spec, f"{self.name(index)} ({image})")
        if isinstance(image, Image.Image):
            return prepared(image, self._spec, self.name(index))
        return as_pixels(self.name(index), image, self._spec)


def prepared(image: Image.Image | bytes, spec: InputSpec, name: str) -> np.ndarray:
    """The pixels of a Pillow image, or of an encoded one in the formats that are read.

    Raises:
        DataError: it cannot be decoded or prepared.
    """
    from PIL import Image

    if spec.already is not None:
        raise DataError(f"{name}: input.already = 'normalized' is about tensors, but this is an image")
    try:
        if not isinstance(image, bytes):
            return prepare(image, spec)
        with Image.open(io.BytesIO(image), formats=formats()) as decoded:
            return prepare(decoded, spec)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error …
        reason = str(error) if isinstance(error, AuditError) else one_line(error)
        raise DataError(f"{name}: the image cannot be prepared ({reason})") from None


def _length(split: str, dataset: Any) -> int:
    """How many items the dataset has."""
    try:
        return len(dataset)
    except Exception as error:
        raise DataError(f"{split}: the dataset has no length ({one_line(error)})") from None


def _is_hugging_face(dataset: Any) -> bool:
    return isinstance(getattr(dataset, "features", None), Mapping) and hasattr(dataset, "column_names")


def _label_column(dataset: Any, label: str | int | None) -> str | None:
    """The column of labels of a Hugging Face dataset: the named one, its only `ClassLabel`, else a usual name."""
    if isinstance(label, str):
        return label if label in dataset.features else None
    named = [name for name, feature in dataset.features.items() if hasattr(feature, "names")]
    return named[0] if len(named) == 1 else next((n for n in ("label", "labels") if n in dataset.features), None)


def _class_names(dataset: Any, label: str | int | None) -> list[str]:
    """The names that a dataset gives its classes, in the order of its numbers; none where it gives none."""
    if _is_hugging_face(dataset):
        names = getattr(dataset.features.get(_label_column(dataset, label)), "names", None)
    elif hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        return _class_names(dataset.dataset, label)
    else:
        names = getattr(dataset, "classes", None)
    known = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return [str(name) for name in names] if known and names else []


def _targets(split: str, dataset: Any, label: str | int | None) -> Sequence[Any] | None:
    """The labels that the dataset (or the one that it is a `Subset` of) keeps beside its images, if any."""
    if _is_hugging_face(dataset):
        column = _label_column(dataset, label)
        return None if column is None else list(dataset.with_format(None)[column])
    if hasattr(dataset, "targets"):
        if all(isinstance(each, str) for each in dataset.targets):
            return list(dataset.targets)
        targets = as_array(f"{split}: targets", dataset.targets)
        if targets.ndim == 2 and isinstance(label, int) and label < targets.shape[1]:
            return list(targets[:, label].astype(np.int64))
        if targets.shape[:1] != (len(dataset),) or targets.ndim != 1 or targets.dtype.kind not in "iub":
            more = f". {ONE_LABEL}" if targets.ndim == 2 else ""
            raise DataError(
                f"{split}: expected {len(dataset)} integer labels, one per item, got {targets.dtype} of shape "
                f"{targets.shape}{more}"
            )
        return list(targets)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        inner = _targets(split, dataset.dataset, label)
        return None if inner is None else [inner[int(k)] for k in dataset.indices]
    return None


def _other_columns(dataset: Any, label: str | int | None) -> dict[str, np.ndarray]:
    """The columns of plain values beside the label of a Hugging Face dataset."""
    own = _label_column(dataset, label)
    plain = [name for name, feature in dataset.features.items() if getattr(feature, "dtype", None) is not None]
    named = [name for name in plain if name != own and dataset.features[name].dtype in _PLAIN]
    values = dataset.with_format(None)
    rows = [dict(zip(named, row)) for row in zip(*(list(values[name]) for name in named))]
    return metadata_of(rows)


_PLAIN = ("string", "large_string", "bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
_PLAIN = (*_PLAIN, "float32", "float64")
