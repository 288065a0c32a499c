"""Rows of a dataset, whatever their form: which part is the image, which the label, and what describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.core.wording import listed, nearest
from cnnaudit.target.numbers import as_array
from cnnaudit.target.tables import normal

IMAGE = ("image", "pixel_values", "images", "img", "pixels", "x")
LABEL = ("label", "labels", "target", "targets", "class", "class_name", "fine_label", "y")
ONE_LABEL = (
    "A multi-label target is audited label by label, each as a question of two classes: name the label in the audit "
    "file "
    "(data.columns = { label = 3 }, or the column's name), its output (data.class_indices = [3]), "
    "data.classes = ['no', 'yes'] and model.outputs = 'binary' ('sigmoid' where the model ends in one); in Python, "
    "cnnaudit.target.multilabel.one_per_label makes all of these targets"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One image with its label as the dataset gives them, and its other values by name."""

    image: Any
    label: Any
    others: Mapping[str, Any]


def as_row(where: str, item: Any, label: str | int | None = None) -> Row:
    """The row of a pair (image, label), a triple with a mapping of metadata, or a mapping with such keys.

    Args:
        where: for messages.
        label: the key of the label in a mapping; None: the usual ones. A number picks from a vector of labels.

    Raises:
        DataError: the item is no such thing.
    """
    if isinstance(item, Mapping):
        image_key = next((key for key in IMAGE if key in item), None)
        wanted = (label,) if isinstance(label, str) else LABEL
        label_key = next((key for key in wanted if key in item), None)
        if image_key is None or label_key is None:
            raise DataError(
                f"{where}: expected an image under one of {', '.join(IMAGE)} and a label under one of "
                f"{', '.join(wanted)}, its keys are {listed([str(key) for key in item], 12)}"
            )
        others = {str(key): value for key, value in item.items() if key not in (image_key, label_key)}
        return Row(item[image_key], item[label_key], others)
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return Row(item[0], item[1], {})
    if isinstance(item, (tuple, list)) and len(item) == 3 and isinstance(item[2], Mapping):
        return Row(item[0], item[1], {str(key): value for key, value in item[2].items()})
    size = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
    raise DataError(
        f"{where}: expected a pair (image, label), or a dict with 'image' and 'label', got {type(item).__name__}{size}"
    )


def class_of(where: str, label: Any, classes: Sequence[str], places: np.ndarray | None, pick: Any = None) -> int:
    """The position in `classes` of a label: a name of them, or a whole number.

    Args:
        places: for each number of the dataset's own, the position in `classes`; None: they are the positions.
        pick: a number picks from a vector of labels.

    Raises:
        DataError: the label is neither, or a vector of several labels of which none is picked.
    """
    if isinstance(label, str):
        names = {normal(name): k for k, name in enumerate(classes)}
        if (name := normal(label)) not in names:
            raise DataError(
                f"{where}: label {printable(label[:100])!r} is none of data.classes = {list(classes)[:12]}"
                f"{nearest(label[:100], names)}"
            )
        return names[name]
    array = as_array(f"{where}: label", label)
    if array.size > 1 and isinstance(pick, int):
        if not 0 <= pick < array.size:
            raise DataError(f"{where}: data.columns.label = {pick}, but there are {array.size} labels")
        array = array.reshape(-1)[pick]
        array = array.astype(np.int64) if array in (0, 1) else array
    if array.size > 1:
        raise DataError(f"{where}: expected one label for the image, got {array.size}. {ONE_LABEL}")
    if array.size != 1 or array.dtype.kind not in "iub":
        raise DataError(
            f"{where}: expected a label that is a class name or a whole number, got {array.dtype} of {array.shape}"
        )
    number, high = int(array.reshape(-1)[0]), len(classes) if places is None else len(places)
    if not 0 <= number < high:
        raise DataError(f"{where}: labels must be in 0..{high - 1} for {high} classes, got {number}")
    return number if places is None else int(places[number])


def class_places(where: str, names: Sequence[str], classes: Sequence[str]) -> np.ndarray | None:
    """For each number of a dataset that names its classes, the position of that class in `classes`.

    None where the numbers are the positions: the names are the same in order, or as many and all different ones.

    Raises:
        DataError: only some of the names are those of the audit file.
    """
    own, wanted = [normal(str(name)) for name in names], [normal(name) for name in classes]
    if own == wanted or (len(own) == len(wanted) and not set(own) & set(wanted)):
        return None
    if set(own) == set(wanted) and len(set(own)) == len(own):
        return np.array([wanted.index(name) for name in own], dtype=np.int64)
    raise DataError(
        f"{where}: the dataset calls its classes {listed(own, 12)}, data.classes are {listed(wanted, 12)}. Give "
        "them the "
        "same names, in the order of the model's logits"
    )


def metadata_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The columns that every row has as one number, truth value or text, of one kind each; others are left out."""
    columns: dict[str, np.ndarray] = {}
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        for kind in (bool, int, (int, float), str):
            if all(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) for value in values):
                column = np.array(values)
                if column.dtype.kind in "biUf" and (column.dtype.kind != "f" or bool(np.all(np.abs(column) < 3e38))):
                    columns[name] = column
                break
    return columns
