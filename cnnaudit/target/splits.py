"""The splits of an audit file, loaded and held against each other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.data_sources import as_split
from cnnaudit.target.files import FileSplit, InputWarning
from cnnaudit.target.imports import call

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec, Split
    from cnnaudit.target.reading import Reading

BLACK = 0.1  # images whose brightest pixel is below it: 12 bits stored in 16 reach 0.0625
LOOKED_AT = 8


def load_splits(
    sources: Mapping[str, tuple[str | Path, Mapping[str, Any]]],
    classes: Sequence[str],
    spec: InputSpec,
    metadata: Path | None,
    folder: Path,
    reading: Reading,
) -> dict[str, Split]:
    """The splits by their names; see `as_split`.

    Args:
        sources: for each split a path, or a `module:callable` and its arguments.
        folder: the audit file's.

    Raises:
        DataError: a source cannot be read, or two splits say differently how many bits their images have.
    """
    folders = {name: source for name, (source, _) in sources.items() if isinstance(source, Path) and source.is_dir()}
    splits: dict[str, Split] = {}
    for name, (source, arguments) in sources.items():
        own = isinstance(source, Path)
        value = source if own else call(str(source), arguments, folder, f"data.{name}", DataError)
        others = tuple(other for key, other in folders.items() if key != name)
        splits[name] = as_split(name, value, classes, spec, metadata, folder, replace(reading, others=others))
    whites = {name: split.white for name, split in splits.items() if isinstance(split, FileSplit)}
    if len(set(whites.values())) > 1:
        raise DataError(f"data.scale = 'auto' found another white for each split, {whites}; write the right one")
    warn_of_black(splits)
    return splits


def warn_of_black(splits: Mapping[str, Split]) -> None:
    """Warn where the brightest pixel of a few images of a split is nearly black."""
    for name, split in splits.items():
        count = len(split.labels)
        rows = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64))
        try:
            brightest = float(split.read(rows).max())
        except DataError:  # which the checks report with the image's name
            continue
        if brightest < BLACK:
            warnings.warn(
                f"data.{name}: the images are nearly black: the brightest pixel of the {len(rows)} looked at is "
                f"{brightest:.3g}, where 1 is white. If they hold fewer bits than their type, say so: data.scale = "
                "'auto', "
                "'file', or the value of white, such as 4095",
                InputWarning,
                stacklevel=2,
            )
