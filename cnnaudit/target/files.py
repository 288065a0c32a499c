"""Image files on disk with a label each, whatever told the label."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.core.progress import progress
from cnnaudit.target import InputSpec
from cnnaudit.target.preparation import allocate, header, load, original
from cnnaudit.target.stored import full_scale

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

MOST_LISTED = 20


class InputWarning(UserWarning):
    """Something about the images that would make the audit answer another question than the one that was meant."""


class FileSplit:
    """A split made of image files and their labels; pixels are read when asked for, by a few threads.

    Args:
        title: of the split, for progress bars.
        files: the image files.
        labels: int64 (N,), one per file.
        spec: what the model takes, see `cnnaudit.target.preparation.prepare`.
        metadata: columns that describe the images, each of shape (N,).
        base: the folder that file names are given relative to.
        skip_unreadable: read every file once and leave those out that cannot be read; a warning and `unreadable` list
            them.

    Raises:
        DataError: no file can be read, or `spec` says that tensors are normalized, which files never are.
    """

    def __init__(
        self,
        title: str,
        files: Sequence[Path],
        labels: np.ndarray,
        spec: InputSpec,
        metadata: Mapping[str, np.ndarray],
        base: Path,
        skip_unreadable: bool = False,
    ) -> None:
        if spec.already is not None:
            raise DataError("input.already = 'normalized' is about a callable's tensors, but the images are files")
        self._title, self._files, self._base, self._spec = title, list(files), base, spec
        self._labels, self._metadata = labels, metadata
        self.unreadable: tuple[str, ...] = ()
        if spec.white == "auto":
            self._spec = replace(spec, white=full_scale([self._files[k] for k in _spread(len(files))]))
        if skip_unreadable:
            self._skip()

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """Columns of the metadata file, each of shape (N,)."""
        return self._metadata

    @property
    def white(self) -> float | str | None:
        """The value of white in stored pixels of more than 8 bits, `InputSpec.white` with `auto` looked up."""
        return self._spec.white

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1].

        Raises:
            DataError: a file cannot be read as an image; the message names it.
        """
        import torch

        images = allocate(len(indices), self._spec)
        pixels = progress(_each(self._load, indices), f"reading {self._title}", total=len(indices))
        for row, image in enumerate(pixels):
            images[row] = image
        return torch.from_numpy(images)

    def with_input(self, spec: InputSpec) -> FileSplit:
        """The same files, read for another input."""
        again = copy.copy(self)
        again._spec = replace(spec, white=self.white)
        return again

    def name(self, index: int) -> str:
        """The file of that image, relative to the audit file's folder."""
        return shown_path(self._files[index], self._base)

    def original(self, index: int) -> torch.Tensor:
        """The image at that position before it is resized, float32 (C, h, w) in [0, 1].

        Raises:
            DataError: the file cannot be read as a picture; the message names it.
        """
        import torch

        return torch.from_numpy(load(self._files[index], self._spec, self.name(index), original))

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """What `cnnaudit.target.preparation.header` gives, and `aspect` = width / height; each (n,)."""
        rows = list(_each(self._header, indices))
        facts = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
        return {**facts, "aspect": facts["width"] / facts["height"]} if facts else {}

    def _load(self, index: int) -> np.ndarray:
        return load(self._files[index], self._spec, self.name(index))

    def _header(self, index: int) -> dict[str, int | str]:
        return header(self._files[index], self.name(index), self._spec.channels)

    def _skip(self) -> None:
        """Leave the files out that cannot be read."""

        def reason(index: int) -> str:
            try:
                self._load(index)
            except DataError as error:
                return str(error)
            return ""

        every = np.arange(len(self._files))
        reasons = list(progress(_each(reason, every), f"looking through {self._title}", total=len(every)))
        kept = [k for k in every.tolist() if not reasons[k]]
        self.unreadable = tuple(reason for reason in reasons if reason)
        if not kept:
            raise DataError(f"{self._title}: none of {len(every)} images can be read, the first: {self.unreadable[0]}")
        self._files, self._labels = [self._files[k] for k in kept], self._labels[kept]
        self._metadata = {name: column[kept] for name, column in self._metadata.items()}
        if self.unreadable:
            more = "" if len(self.unreadable) <= MOST_LISTED else f"\n  and {len(self.unreadable) - MOST_LISTED} more"
            listed = "".join(f"\n  {reason}" for reason in self.unreadable[:MOST_LISTED])
            warnings.warn(
                f"{self._title}: {len(self.unreadable)} of {len(every)} images cannot be read and are left out, as "
                f"data.skip_unreadable says:{listed}{more}",
                InputWarning,
                stacklevel=4,
            )


def shown_path(path: Path, base: Path) -> str:
    """A file's name for messages: relative to the base where it lies below it."""
    return printable((path.relative_to(base) if path.is_relative_to(base) else path).as_posix())


def _spread(n: int, most: int = 32) -> list[int]:
    """At most that many positions, evenly spread over all."""
    return sorted({int(k) for k in np.linspace(0, n - 1, min(n, most))}) if n else []


def _each(function: Callable[[int], T], indices: np.ndarray) -> Iterator[T]:
    """The function of every index, in order, by a few threads; Pillow decodes outside Python's lock."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, [int(index) for index in indices])
