"""Image files on disk, a folder per class."""

from __future__ import annotations

import copy
import difflib
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable, unsafe_character
from cnnaudit.core.progress import progress
from cnnaudit.target import InputSpec
from cnnaudit.target.formats import suffixes
from cnnaudit.target.metadata import read_metadata
from cnnaudit.target.preparation import allocate, header, load, opened

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_IGNORED = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
_DEEPEST = 100  # folders inside each other


class FolderSplit:
    """A split that lies on disk as one folder per class, with images in it (formats: `cnnaudit.target.formats`).

    Folders inside a class folder belong to the class. Hidden files and the leavings of file managers (`Thumbs.db` …)
    are passed over; any other file that is no image is an error. Pixels are read when asked for, by a few threads.

    Args:
        root: the folder with the class folders.
        classes: the class of each label; every one needs a folder of that name, and no other folder may stand there.
        spec: what the model takes, see `cnnaudit.target.preparation.prepare`.
        metadata: a CSV file, see `cnnaudit.target.metadata.read_metadata`.
        base: the folder that file names are given relative to; default: the parent of `root`.

    Raises:
        DataError: a class has no folder or no image, a folder or file does not belong there, a link leads in a circle.
    """

    def __init__(
        self,
        root: Path,
        classes: Sequence[str],
        spec: InputSpec,
        metadata: Path | None = None,
        base: Path | None = None,
    ) -> None:
        self._root, self._base, self._spec = root, base or root.parent, spec
        files = _scan(root, self._shown(root))
        _check_classes(files, classes, self._shown(root))
        ordered = [files[_normal(name)] for name in classes]
        self._files = [file for members in ordered for file in members]
        self._labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(members) for members in ordered])
        self._metadata = read_metadata(metadata, self._files, root, self._base) if metadata else {}

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """Columns of the metadata file, each of shape (N,)."""
        return self._metadata

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1].

        Raises:
            DataError: a file cannot be read as an image; the message names it.
        """
        import torch

        images = allocate(len(indices), self._spec)
        pixels = progress(_each(self._load, indices), f"reading {self._root.name}", total=len(indices))
        for row, image in enumerate(pixels):
            images[row] = image
        return torch.from_numpy(images)

    def with_input(self, spec: InputSpec) -> FolderSplit:
        """The same files, read for another input."""
        again = copy.copy(self)
        again._spec = spec
        return again

    def name(self, index: int) -> str:
        """The file of that image, relative to the audit file's folder."""
        return self._shown(self._files[index])

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """What `cnnaudit.target.preparation.header` gives, and `aspect` = width / height; each (n,)."""
        rows = list(_each(self._header, indices))
        facts = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
        return {**facts, "aspect": facts["width"] / facts["height"]} if facts else {}

    def _load(self, index: int) -> np.ndarray:
        return load(self._files[index], self._spec, self.name(index))

    def _header(self, index: int) -> dict[str, int | str]:
        return header(self._files[index], self.name(index))

    def _shown(self, path: Path) -> str:
        return printable((path.relative_to(self._base) if path.is_relative_to(self._base) else path).as_posix())


def folder(
    path: str | Path,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] = (224, 224),
    resize: int | None = None,
    channels: int = 3,
    interpolation: str = "bilinear",
    metadata: str | Path | None = None,
) -> FolderSplit:
    """A split made of image files, a folder per class.

    Args:
        path: the folder with the class folders.
        classes: the class of each label; default: the names of the folders in alphabetical order.
        size: height and width in pixels, after the crop.
        resize: shorter side before the crop; None: resize straight to `size`.
        channels: 1 (gray) or 3 (RGB).
        interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`.
        metadata: a CSV file whose first column is `file`.

    Raises:
        DataError: the folder holds no such classes or something that is no image.
    """
    spec = InputSpec(channels=channels, size=size, resize=resize, interpolation=interpolation)
    root = Path(path)
    return FolderSplit(root, classes or class_folders(root), spec, Path(metadata) if metadata else None)


def class_folders(root: Path) -> tuple[str, ...]:
    """The names of the class folders in alphabetical order, without looking into them.

    Raises:
        DataError: the folder cannot be read.
    """
    return tuple(sorted(path.name for path in entries(root, printable(str(root))) if path.is_dir()))


def _scan(root: Path, shown: str) -> dict[str, list[Path]]:
    """The image files of each class folder, by its normalized name."""
    files: dict[str, list[Path]] = {}
    for path in entries(root, shown):
        if path.is_dir():
            files.setdefault(_normal(path.name), []).extend(_walk(path, f"{shown}/{path.name}", (_identity(root),)))
        elif path.suffix.lower() in suffixes():
            raise DataError(f"{shown}/{path.name}: an image beside the class folders. Move it into its class's folder")
    if not files:
        raise DataError(f"{shown}: expected a folder for each class in it, found none")
    return files


def _walk(folder: Path, shown: str, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """The image files in a folder and the folders inside it."""
    identity = _identity(folder)
    if identity in above:
        raise DataError(f"{shown}: the link leads back to a folder that contains it. Remove the link")
    if len(above) > _DEEPEST:
        raise DataError(f"{shown}: expected at most {_DEEPEST} folders inside each other. Store the images flatter")
    for path in entries(folder, shown):
        name = f"{shown}/{path.name}"
        if path.is_dir():
            yield from _walk(path, name, (*above, identity))
        elif not path.is_file():
            raise DataError(f"{name}: neither a file nor a folder (a broken link?). Remove it")
        else:
            if path.suffix.lower() not in suffixes():
                opened(path, name).close()
            yield path


def entries(folder: Path, shown: str) -> list[Path]:
    """What stands in a folder and is not to be passed over, in alphabetical order."""
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name.lower() not in _IGNORED)
        for path in entries:
            path.is_dir()  # raises where a link's target may not be looked at
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown}: the folder cannot be read ({reason}). Check its path and permissions") from None
    for path in entries:
        if (character := unsafe_character(path.name)) is not None:
            raise DataError(
                f"{shown}/{printable(path.name)}: the name holds {character!a}, a control character, a mark of "
                "direction or a byte that is no UTF-8. Rename it"
            )
    return entries


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from every other, whatever links lead to it."""
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"{printable(str(folder))}: the folder cannot be read ({error.strerror})") from None
    return status.st_dev, status.st_ino


def _check_classes(files: Mapping[str, list[Path]], classes: Sequence[str], shown: str) -> None:
    """Refuse folders that do not match the classes."""
    wanted = [_normal(name) for name in classes]
    if len(wanted) < 2:
        raise DataError(f"{shown}: expected at least two classes, got {list(classes)}")
    for name in sorted(set(files) - set(wanted)):
        near = difflib.get_close_matches(name, wanted, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{shown}/{name}: no class of that name in data.classes = {list(classes)}{hint}")
    for name in wanted:
        if name not in files:
            raise DataError(f"{shown}: expected a folder for the class {name!r}, found {sorted(files)}")
        if not files[name]:
            raise DataError(f"{shown}/{name}: the folder of this class is empty. Add images or leave the class out")


def _normal(name: str) -> str:
    """The name in one Unicode form: file systems differ in how they store accents."""
    return unicodedata.normalize("NFC", name)


def _each(function: Callable[[int], T], indices: np.ndarray) -> Iterator[T]:
    """The function of every index, in order, by a few threads; Pillow decodes outside Python's lock."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, [int(index) for index in indices])
