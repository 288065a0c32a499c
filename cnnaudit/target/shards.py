"""Shards of WebDataset: tar archives whose members are read in place, `key.jpg` beside `key.cls` or `key.json`."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.names import printable, unsafe_character
from cnnaudit.core.progress import progress
from cnnaudit.core.wording import listed, one_line
from cnnaudit.target.datasets import prepared
from cnnaudit.target.preparation import allocate
from cnnaudit.target.rows import LABEL, class_of, metadata_of

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import InputSpec

IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "bmp", "tif", "tiff")
NOTES = ("cls", "json", "txt", "label")
LARGEST_IMAGE = 200_000_000  # bytes
LARGEST_NOTE = 1_000_000  # bytes
MOST_SAMPLES = 20_000_000
MOST_SHARDS = 100_000
BRACES = re.compile(r"(.*)\{([0-9]{1,9})\.\.([0-9]{1,9})\}(.*)", re.S)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Where an image lies: its shard, the first byte and the number of bytes; and its key."""

    shard: Path
    start: int
    length: int
    key: str


class ShardSplit:
    """A split made of uncompressed tar shards; their headers and labels are read once, images when asked for.

    A sample is the members that share a name up to its first dot: an image (`.jpg`, `.png` …) and its label, `.cls` (a
    number or a class name) or `.json` with a `label`; what else the JSON holds becomes metadata.

    Args:
        split: its name, for messages.
        shards: the archives, in order.
        classes: the class names in the order of the logits.

    Raises:
        DataError: a shard is missing, empty, compressed or broken, or a sample lacks its image or its label.
    """

    def __init__(self, split: str, shards: Sequence[Path], classes: Sequence[str], spec: InputSpec) -> None:
        self._spec, self._split = spec, split
        self._samples: list[_Sample] = []
        labels: list[int] = []
        others: list[Mapping[str, Any]] = []
        for shard in progress(shards, f"looking through the shards of {split}"):
            for sample, label, other in _samples(shard):
                self._samples.append(sample)
                labels.append(class_of(self._shown(sample), label, classes, None))
                others.append(other)
            if len(labels) > MOST_SAMPLES:
                raise DataError(f"{split}: expected at most {MOST_SAMPLES:,} samples")
        self._labels = np.array(labels, dtype=np.int64)
        self._metadata = metadata_of(others)

    @property
    def labels(self) -> np.ndarray:
        """int64 labels (N,)."""
        return self._labels

    @property
    def metadata(self) -> Mapping[str, np.ndarray]:
        """What the samples' JSON holds beside the label."""
        return self._metadata

    def read(self, indices: np.ndarray) -> torch.Tensor:
        """The images at those positions: float32 (n, C, H, W) in [0, 1].

        Raises:
            DataError: an image cannot be decoded; the message names its shard and key.
        """
        import torch

        images = allocate(len(indices), self._spec)
        for row, index in enumerate(progress(indices, f"reading {self._split}", total=len(indices))):
            sample = self._samples[int(index)]
            with sample.shard.open("rb") as stream:
                stream.seek(sample.start)
                images[row] = prepared(stream.read(sample.length), self._spec, self._shown(sample))
        return torch.from_numpy(images)

    def name(self, index: int) -> str:
        """The shard and the key of that image."""
        return self._shown(self._samples[index])

    def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """The length of the encoded image, `file_size` in bytes (n,)."""
        return {"file_size": np.array([self._samples[int(k)].length for k in indices], dtype=np.int64)}

    def _shown(self, sample: _Sample) -> str:
        return f"{printable(sample.shard.name)}/{printable(sample.key)}"


def shard_paths(path: Path) -> list[Path]:
    """The shards of a name such as `train-{000..007}.tar`.

    Raises:
        DataError: the braces count down or name too many.

    Example:
        >>> [shard.name for shard in shard_paths(Path("a-{08..10}.tar"))]
        ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    braces = BRACES.fullmatch(str(path))
    if braces is None:
        return [path]
    before, first, last, after = braces.groups()
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(
            f"{path.name}: expected braces such as {{000..007}} that count up, at most {MOST_SHARDS:,} shards"
        )
    return [Path(f"{before}{number:0{len(first)}}{after}") for number in range(int(first), int(last) + 1)]


def _samples(shard: Path) -> list[tuple[_Sample, Any, Mapping[str, Any]]]:
    """The samples of a shard, each with its label and its other values."""
    shown = printable(shard.name)
    images: dict[str, _Sample] = {}
    notes: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(shard, mode="r:") as archive:
            for member in archive:
                key, ending = _key(member, shown)
                if ending in IMAGES:
                    if key in images:
                        raise DataError(f"{shown}/{key}: the sample has two images. Write each sample once")
                    images[key] = _Sample(shard, member.offset_data, _within(member, shard, LARGEST_IMAGE), key)
                elif ending in NOTES:
                    _within(member, shard, LARGEST_NOTE)
                    content = archive.extractfile(member)
                    if ending in notes.setdefault(key, {}):
                        raise DataError(f"{shown}/{key}.{ending}: stands twice. Write each sample once")
                    notes[key][ending] = content.read() if content else b""
    except AuditError:
        raise
    except FileNotFoundError:
        raise DataError(f"{shown}: no such shard ({printable(str(shard))})") from None
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{shown}: cannot be read as an uncompressed tar archive ({one_line(error)}). Unpack .tar.gz first: "
            "images are "
            "read in place"
        ) from None
    if not images:
        raise DataError(f"{shown}: the shard is empty; expected members such as 0001.jpg beside 0001.cls")
    if lonely := sorted(set(notes) - set(images)):
        raise DataError(f"{shown}/{printable(lonely[0])}: a label without an image ({', '.join(IMAGES)})")
    return [(sample, *_label(f"{shown}/{printable(key)}", notes.get(key, {}))) for key, sample in images.items()]


def _key(member: tarfile.TarInfo, shown: str) -> tuple[str, str]:
    """A member's sample and ending; links, devices and unsafe names are refused, folders passed over."""
    if member.isdir():
        return "", ""
    name = printable(member.name[:200])
    if not member.isreg() or member.issparse():
        raise DataError(f"{shown}/{name}: expected plain files in the shard. Write it with WebDataset or tar")
    if unsafe_character(member.name) is not None or len(member.name) > 4_000 or ".." in Path(member.name).parts:
        raise DataError(f"{shown}/{name}: a name with control characters or '..'. Rename the member")
    folder, _, file = member.name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}/{stem}" if folder else stem, ending.lower()


def _within(member: tarfile.TarInfo, shard: Path, most: int) -> int:
    """The member's length, refused where the shard ends before it or it is too long."""
    if not 0 <= member.size <= most or member.offset_data + member.size > shard.stat().st_size:
        raise DataError(
            f"{printable(shard.name)}/{printable(member.name[:200])}: its header says {member.size:,} bytes, more "
            "than the "
            f"shard has or than {most:,}. Write the shard again"
        )
    return member.size


def _label(where: str, notes: Mapping[str, bytes]) -> tuple[Any, Mapping[str, Any]]:
    """The label of a sample and what else its JSON holds."""
    try:
        other = json.loads(notes["json"]) if "json" in notes else {}
        if not isinstance(other, dict):
            raise ValueError(f"expected an object, got {type(other).__name__}")
        text = next((notes[key].decode("utf-8").strip() for key in ("cls", "label", "txt") if key in notes), None)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: the label cannot be read ({one_line(error)})") from None
    if text is not None:
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text, other
    key = next((key for key in LABEL if key in other), None)
    if key is None:
        raise DataError(f"{where}: no label; expected a member .cls, or .json with one of {listed(LABEL, 9)}")
    return other[key], {name: value for name, value in other.items() if name != key}
