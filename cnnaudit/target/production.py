"""A folder of images from production, with labels or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.target import InputSpec
from cnnaudit.target.arrays import UNLABELED
from cnnaudit.target.folders import FolderSplit, entries, images_below, normal
from cnnaudit.target.formats import suffixes


class UnlabeledFolder(FolderSplit):
    """All images in a folder and the folders inside it, each with the label -1: nobody said what they show.

    Args:
        root: the folder.
        spec: what the model takes.
        base: the folder that file names are given relative to; default: the parent of `root`.

    Raises:
        DataError: the folder holds no image, or something that is none.
    """

    def __init__(self, root: Path, spec: InputSpec, base: Path | None = None) -> None:
        self._root, self._base, self._spec = root, base or root.parent, spec
        self._files = list(images_below(root, self._shown(root)))
        if not self._files:
            raise DataError(f"{self._shown(root)}: no image in it. Add images or leave data.production out")
        self._labels = np.full(len(self._files), UNLABELED, dtype=np.int64)
        self._metadata = {}


def production_folder(root: Path, classes: Sequence[str], spec: InputSpec, base: Path | None = None) -> FolderSplit:
    """The split of a production folder: labeled where its folders are classes (some may be missing), else unlabeled.

    Raises:
        DataError: some of its folders are classes, and something else stands beside them.
    """
    found = entries(root, printable(root.name))
    known = {normal(name) for name in classes}
    named = [path.name for path in found if path.is_dir() and normal(path.name) in known]
    if not named:
        return UnlabeledFolder(root, spec, base)
    if others := [path.name for path in found if path.name not in named and _counts(path)]:
        raise DataError(
            f"data.production: {printable(root.name)} holds the folder of the class {named[0]!r} and, beside it, "
            f"{others[0]!r}, which is no class. Images with labels need a folder per class and nothing else; for "
            "images without labels, no folder may be called like a class"
        )
    return FolderSplit(root, classes, spec, base=base, complete=False)


def _counts(path: Path) -> bool:
    """Whether it is a folder or an image; notes beside the images do not matter."""
    return path.is_dir() or path.suffix.lower() in suffixes()
