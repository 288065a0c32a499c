"""A folder of images from production, with labels or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.target import InputSpec
from cnnaudit.target.arrays import UNLABELED
from cnnaudit.target.files import FileSplit
from cnnaudit.target.folders import FolderSplit, entries, images_below, normal
from cnnaudit.target.formats import suffixes


def production_folder(
    root: Path, classes: Sequence[str], spec: InputSpec, base: Path | None = None, skip_unreadable: bool = False
) -> FileSplit:
    """The split of a production folder: labeled where its folders are classes (some may be missing).

    Else all images in it and the folders inside it have the label -1: nobody said what they show.

    Raises:
        DataError: some of its folders are classes, and something else stands beside them; or it holds no image.
    """
    found = entries(root, printable(root.name))
    known = {normal(name) for name in classes}
    named = [path.name for path in found if path.is_dir() and normal(path.name) in known]
    if not named:
        files = list(images_below(root, printable(root.name), strict=not skip_unreadable))
        if not files:
            raise DataError(f"{printable(root.name)}: no image in it. Add images or leave data.production out")
        labels = np.full(len(files), UNLABELED, dtype=np.int64)
        return FileSplit(root.name, files, labels, spec, {}, base or root.parent, skip_unreadable)
    if others := [path.name for path in found if path.name not in named and _counts(path)]:
        raise DataError(
            f"data.production: {printable(root.name)} holds the folder of the class {named[0]!r} and, beside it, "
            f"{others[0]!r}, which is no class. Images with labels need a folder per class and nothing else; for "
            "images without labels, no folder may be called like a class"
        )
    return FolderSplit(root, classes, spec, base=base, skip_unreadable=skip_unreadable, complete=False)


def _counts(path: Path) -> bool:
    """Whether it is a folder or an image; notes beside the images do not matter."""
    return path.is_dir() or path.suffix.lower() in suffixes()
