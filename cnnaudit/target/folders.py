"""Image files on disk, a folder per class."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable, unsafe_character
from cnnaudit.target import InputSpec
from cnnaudit.target.files import FileSplit, shown_path
from cnnaudit.target.formats import suffixes
from cnnaudit.target.metadata import read_metadata
from cnnaudit.target.preparation import require_image

_IGNORED = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
_DEEPEST = 100  # folders inside each other


class FolderSplit(FileSplit):
    """A split that lies on disk as one folder per class, with images in it (formats: `cnnaudit.target.formats`).

    Folders inside a class folder belong to the class. Hidden files and the leavings of file managers (`Thumbs.db` …)
    are passed over; any other file that is no image is an error.

    Args:
        root: the folder with the class folders.
        classes: the class of each label; every one needs a folder of that name, and no other folder may stand there.
        spec: what the model takes, see `cnnaudit.target.preparation.prepare`.
        metadata: a CSV file, see `cnnaudit.target.metadata.read_metadata`.
        base: the folder that file names are given relative to; default: the parent of `root`.
        skip_unreadable: leave files out that cannot be read, see `FileSplit`.
        complete: whether every class needs a folder with images.

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
        skip_unreadable: bool = False,
        complete: bool = True,
    ) -> None:
        base = base or root.parent
        shown = shown_path(root, base)
        files = scan(root, shown, strict=not skip_unreadable)
        _check_classes(files, classes, shown, complete)
        ordered = [files.get(normal(name), []) for name in classes]
        members = [file for group in ordered for file in group]
        labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(group) for group in ordered])
        columns = read_metadata(metadata, members, root, base) if metadata else {}
        super().__init__(root.name, members, labels, spec, columns, base, skip_unreadable)
        for k in sorted(set(range(len(classes))) - set(self.labels.tolist())) if complete else ():
            raise DataError(f"{shown}/{classes[k]}: no image of this class can be read. Add images")


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


def scan(root: Path, shown: str, strict: bool = True) -> dict[str, list[Path]]:
    """The image files of each class folder, by its normalized name; `strict`: what is no image is refused."""
    files: dict[str, list[Path]] = {}
    for path in entries(root, shown):
        if path.is_dir():
            files.setdefault(normal(path.name), []).extend(
                images_below(path, f"{shown}/{path.name}", (_identity(root),), strict)
            )
        elif path.suffix.lower() in suffixes():
            raise DataError(f"{shown}/{path.name}: an image beside the class folders. Move it into its class's folder")
    if not files:
        raise DataError(f"{shown}: expected a folder for each class in it, found none")
    return files


def images_below(
    folder: Path, shown: str, above: tuple[tuple[int, int], ...] = (), strict: bool = True
) -> Iterator[Path]:
    """The image files in a folder and the folders inside it."""
    identity = _identity(folder)
    if identity in above:
        raise DataError(f"{shown}: the link leads back to a folder that contains it. Remove the link")
    if len(above) > _DEEPEST:
        raise DataError(f"{shown}: expected at most {_DEEPEST} folders inside each other. Store the images flatter")
    for path in entries(folder, shown):
        name = f"{shown}/{path.name}"
        if path.is_dir():
            yield from images_below(path, name, (*above, identity), strict)
        elif not path.is_file():
            raise DataError(f"{name}: neither a file nor a folder (a broken link?). Remove it")
        else:
            if strict and path.suffix.lower() not in suffixes():
                require_image(path, name)
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


def _check_classes(files: Mapping[str, list[Path]], classes: Sequence[str], shown: str, complete: bool) -> None:
    """Refuse folders that do not match the classes."""
    wanted = [normal(name) for name in classes]
    if len(wanted) < 2:
        raise DataError(f"{shown}: expected at least two classes, got {list(classes)}")
    for name in sorted(set(files) - set(wanted)):
        near = difflib.get_close_matches(name, wanted, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{shown}/{name}: no class of that name in data.classes = {list(classes)}{hint}")
    if not complete and not any(files.values()):
        raise DataError(f"{shown}: the folders of the classes hold no image")
    for name in wanted if complete else ():
        if name not in files:
            raise DataError(f"{shown}: expected a folder for the class {name!r}, found {sorted(files)}")
        if not files[name]:
            raise DataError(f"{shown}/{name}: the folder of this class is empty. Add images or leave the class out")


def normal(name: str) -> str:
    """The name in one Unicode form: file systems differ in how they store accents."""
    return unicodedata.normalize("NFC", name)
