"""Whatever an audit file names as its data, as a split."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import DataError
from cnnaudit.target import PRODUCTION
from cnnaudit.target.array_files import read_npy, read_npz
from cnnaudit.target.arrays import ArraySplit
from cnnaudit.target.datasets import DatasetSplit
from cnnaudit.target.files import FileSplit, InputWarning
from cnnaudit.target.folders import FolderSplit
from cnnaudit.target.labels import Columns, read_labelled, understand
from cnnaudit.target.metadata import read_metadata
from cnnaudit.target.production import production_folder
from cnnaudit.target.reading import Reading
from cnnaudit.target.shards import ShardSplit, shard_paths
from cnnaudit.target.tables import Table, of_frame, read_table

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec, Split

PLAIN = Reading()
ACCEPTED = (
    "a folder with a folder per class; a pair (images, labels) of arrays or tensors; an object with .images and "
    ".labels; "
    "a map-style Dataset (torchvision, Hugging Face, your own) of (image, label) or of dicts with 'image' (or "
    "'pixel_values') and 'label'; a list of (path or image, class); a DataFrame with a column of files or images "
    "and one "
    "of labels; a DataLoader; an .npz file; shards of WebDataset (.tar). See docs/data.md"
)


def as_split(
    name: str,
    value: Any,
    classes: Sequence[str],
    spec: InputSpec,
    metadata: Path | None = None,
    base: Path | None = None,
    reading: Reading = PLAIN,
) -> Split:
    """The split that a source describes.

    Args:
        name: `train`, `validation` or `production`; the last may come without labels (a folder of images, or None).
        value: a folder (`str` or `Path`), or what a `module:callable` returned, see `ACCEPTED`.
        classes: the class names in the order of the labels.
        spec: what the model takes.
        metadata: a CSV file about the images of folders.
        base: the audit file's folder, that file names are given relative to.

    Raises:
        DataError: the value is nothing of these, does not fit `classes` or `spec`, or is a folder that cannot be used.
    """
    value = _unwrapped(name, value)
    if name == PRODUCTION:
        metadata = None
        if isinstance(value, (str, Path)) and (path := (base or Path()) / value).is_dir() and reading.labels is None:
            return production_folder(path, classes, spec, base, reading.skip_unreadable)
    if isinstance(value, (str, Path)) and (split := _of_path(name, value, classes, spec, metadata, base, reading)):
        return split
    if _is_frame(value) and (rows := _of_frame(name, value, reading)) is not None:
        value = rows
    if (pairs := _named_files(value)) is not None:
        table = Table(f"data.{name}", ("file", "label"), tuple(pairs), tuple(f"row {k}" for k in range(len(pairs))))
        value = (table, Columns("file", "label"))
    if isinstance(value, tuple) and isinstance(value[0], Table):
        table, columns = value
        return _of_table(name, table, columns, classes, spec, metadata, base or Path(), reading)
    if metadata is not None:
        raise DataError(f"data.metadata describes image files, but data.{name} is a callable: give it '.metadata'")
    if _is_rows(value):
        value = list(zip(*value)) if _is_pair(value) and not _is_rows_list(value) else value
        return DatasetSplit(name, value, classes, spec, reading.columns.get("label"), base)
    return _of_arrays(name, value, classes, spec, reading, base)


def _of_path(
    name: str,
    value: str | Path,
    classes: Sequence[str],
    spec: InputSpec,
    metadata: Path | None,
    base: Path | None,
    reading: Reading,
) -> Split | None:
    """The split of a folder, an `.npz` file or shards."""
    path = (base or Path()) / value
    if path.suffix.lower() == ".tar":
        return ShardSplit(name, shard_paths(path), classes, spec)
    if path.suffix.lower() == ".npz":
        return _of_npz(name, path, classes, spec)
    if reading.labels is not None:
        table = read_table(reading.labels)
        columns = understand(table, reading.columns)
        return _of_table(name, table, columns, classes, spec, metadata, base or path.parent, reading, path)
    return FolderSplit(Path(value), classes, spec, metadata, base, reading.skip_unreadable)


def _of_table(
    name: str,
    table: Table,
    columns: Columns,
    classes: Sequence[str],
    spec: InputSpec,
    metadata: Path | None,
    base: Path,
    reading: Reading,
    inside: Path | None = None,
) -> FileSplit:
    """The split of the files that a table names, with its other columns as metadata."""
    beside = [reading.labels.parent] if reading.labels else []
    folders = [*([inside] if inside else []), *beside, base]
    found = read_labelled(table, columns, name, classes, folders, inside, reading.others)
    more = read_metadata(metadata, found.files, inside or base, base) if metadata else {}
    if twice := sorted(set(more) & set(found.metadata)):
        raise DataError(f"data.metadata and {table.source} both have the column {twice[0]!r}; take one of them out")
    kept = {**found.metadata, **more}
    return FileSplit(name, found.files, found.labels, spec, kept, base, reading.skip_unreadable)


def _of_npz(name: str, path: Path, classes: Sequence[str], spec: InputSpec) -> ArraySplit:
    """The split of an `.npz` file: `images` and `labels` (or `x` and `y`), other arrays (N,) as metadata."""
    arrays = read_npz(path)
    parts = ("train",) if name == "train" else ("validation", "val", "test")
    named = [("images", "labels"), ("x", "y"), *((f"x_{part}", f"y_{part}") for part in parts)]
    named += [(f"{part}_images", f"{part}_labels") for part in parts]
    keys = next((pair for pair in named if pair[0] in arrays and pair[1] in arrays), None)
    if keys is None:
        raise DataError(
            f"data.{name}: {path.name} holds {', '.join(sorted(arrays)[:12]) or 'nothing'}; expected arrays called "
            "images "
            f"and labels (or x and y, x_{parts[0]} and y_{parts[0]})"
        )
    images, labels = arrays[keys[0]], arrays[keys[1]]
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    columns = {key: array for key, array in arrays.items() if key not in keys and array.shape == (len(images),)}
    return _checked(name, ArraySplit(name, images, labels, len(classes), columns, spec), spec)


def _of_arrays(name: str, value: Any, classes: Sequence[str], spec: InputSpec, reading: Reading, base: Any) -> Split:
    """The split of images and labels in memory, or of a map-style dataset."""
    columns: Mapping[str, Any] = {}
    if _is_pair(value):
        images, labels = (read_npy((base or Path()) / part) if _is_npy(part) else part for part in value)
    elif hasattr(value, "images") and hasattr(value, "labels"):
        images, labels, columns = value.images, value.labels, getattr(value, "metadata", {})
    elif hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(value, (Mapping, str, Path)):
        return DatasetSplit(name, value, classes, spec, reading.columns.get("label"), base)
    elif isinstance(value, Mapping) and {"images", "labels"} <= set(value):
        images, labels = value["images"], value["labels"]
    else:
        streams = "; a stream has no length: take its first items into a list, or name its shards" * hasattr(
            value, "__iter__"
        )
        raise DataError(f"data.{name}: got {type(value).__name__}{streams}. Expected one of: {ACCEPTED}")
    if not isinstance(columns, Mapping):
        raise DataError(f"data.{name}: expected '.metadata' to be a mapping of columns, got {type(columns).__name__}")
    return _checked(name, ArraySplit(name, images, labels, len(classes), columns, spec), spec)


def _checked(name: str, split: ArraySplit, spec: InputSpec) -> ArraySplit:
    if split.shape != (spec.channels, *spec.size):
        raise DataError(
            f"data.{name}: the images are {split.shape} (channels, height, width), but [input] says "
            f"{(spec.channels, *spec.size)}. Change input.channels and input.size, or the images"
        )
    return split


def _unwrapped(name: str, value: Any) -> Any:
    """The dataset of a DataLoader, whose order the audit keeps; everything else as it is."""
    from torch.utils.data import DataLoader, RandomSampler

    if not isinstance(value, DataLoader):
        return value
    if isinstance(value.sampler, RandomSampler):
        warnings.warn(
            f"data.{name}: the DataLoader shuffles; the audit reads its dataset in the dataset's own order",
            InputWarning,
            stacklevel=3,
        )
    return value.dataset


def _is_frame(value: Any) -> bool:
    return hasattr(value, "iloc") and hasattr(value, "columns")


def _of_frame(name: str, frame: Any, reading: Reading) -> Any:
    """A DataFrame as a table of files, or as rows where its images are no files."""
    header = Table(f"data.{name}", tuple(str(column) for column in frame.columns), (), ())
    columns = understand(header, {k: v for k, v in reading.columns.items() if isinstance(v, str)})
    if not len(frame):
        raise DataError(f"data.{name}: the DataFrame has no rows")
    if isinstance(frame[columns.file].iloc[0], (str, Path)):
        return of_frame(f"data.{name}", frame, list(frame.columns)), columns
    renamed = frame.rename(columns={columns.file: "image", columns.label: "label"})
    return renamed.to_dict("records")


def _named_files(value: Any) -> list[tuple[str, str]] | None:
    """The rows of a list of (path, class) or of a pair (paths, classes); None for anything else."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if _is_rows_list(value) and all(isinstance(row[0], (str, Path)) for row in value):
        return [(str(path), str(label)) for path, label in value]
    if _is_pair(value) and isinstance(value[0], (list, tuple)) and len(value[0]) == len(value[1]) and value[0]:
        if not all(isinstance(path, (str, Path)) for path in value[0]):
            return None
        return [(str(path), str(label)) for path, label in zip(*value)]
    return None


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def _is_rows_list(value: Any) -> bool:
    """Whether every entry is a pair of an image or its path and a label."""
    from PIL import Image

    return all(_is_pair(row) and isinstance(row[0], (str, Path, Image.Image)) and not _is_npy(row[0]) for row in value)


def _is_rows(value: Any) -> bool:
    """Whether a list or tuple holds rows, or is a pair of Pillow images and labels."""
    from PIL import Image

    if not isinstance(value, (list, tuple)) or not value:
        return False
    pictures = _is_pair(value) and isinstance(value[0], (list, tuple)) and all(map(_is_picture(Image), value[0]))
    return _is_rows_list(value) or all(isinstance(row, Mapping) for row in value) or pictures


def _is_picture(library: Any) -> Any:
    return lambda thing: isinstance(thing, library.Image)


def _is_npy(value: Any) -> bool:
    return isinstance(value, (str, Path)) and str(value).lower().endswith(".npy")
