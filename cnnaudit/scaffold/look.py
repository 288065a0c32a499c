"""What can be seen of a model and of a folder of images before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import AuditError, DataError

if TYPE_CHECKING:
    from cnnaudit.scaffold.flat import Labels

SAMPLE = 120
FLAT = ("uint8", "uint16", "float32", "float64")  # arrays without an axis of channels


@dataclass(frozen=True)
class Folder:
    """What a folder per class holds: class names, images per class, the usual channels and size.

    `labels` is the table that tells the classes of a flat folder. `unread` says of each image looked at that cannot be
    read why not.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, int]
    channels: int
    size: tuple[int, int]
    unread: tuple[str, ...] = ()
    labels: Labels | None = None

    @property
    def words(self) -> str:
        """The counts in words, the first dozen of them."""
        few = [f"{name}: {count}" for name, count in list(self.counts.items())[:12]]
        return "images: " + ", ".join(few) + (", ..." if len(self.counts) > 12 else "")


def look_at_folder(folder: Path) -> Folder:
    """Class names and counts of a folder, and the channels and size of a sample of its images.

    The folder has a folder per class, or is flat with a table of labels in it or beside it.

    Raises:
        AuditError: the folder holds neither folders nor named images, or no image that can be read.
    """
    from cnnaudit.scaffold.flat import find_labels
    from cnnaudit.target.folders import class_folders, entries
    from cnnaudit.target.preparation import header

    classes = class_folders(folder)
    labels = None if classes else find_labels(folder)
    if labels is None:
        files = {name: [p for p in entries(folder / name, name) if p.is_file()] for name in classes}
        few = max(1, SAMPLE // len(classes))
        looked_at = [path for paths in files.values() for path in paths[:few]]
        counts = {name: len(paths) for name, paths in files.items()}
    else:
        classes, counts, looked_at = labels.classes, labels.counts, list(labels.files)
    modes, sizes, unread = Counter[str](), Counter[tuple[int, int]](), []
    for path in looked_at:
        try:
            facts = header(path, f"{path.parent.name}/{path.name}")
            modes[str(facts["mode"])] += 1
            sizes[(int(facts["height"]), int(facts["width"]))] += 1
        except DataError as error:
            unread.append(str(error))
    if not sizes:
        raise AuditError(f"{folder}: none of its files could be read as an image")
    grey = sum(
        n for mode, n in modes.items() if mode in ("1", "L", "LA", "I", "F") or mode in FLAT or mode.startswith("I;16")
    )
    return Folder(
        classes=classes,
        counts=counts,
        channels=1 if grey == modes.total() else 3,
        size=sizes.most_common(1)[0][0],
        unread=tuple(unread),
        labels=labels,
    )


def look_at_model(
    source: str, arguments: Mapping[str, Any], weights: str | None, folder: Path, channels: int, size: tuple[int, int]
) -> int | None:
    """How many outputs a model has, from its answer to one grey image; None where it gives no (1, M) answer.

    Raises:
        AuditError: the model or its weights cannot be loaded.
    """
    import torch

    from cnnaudit.target import InputSpec
    from cnnaudit.target.model_sources import MODEL_FILES, ModelSource, load

    file = Path(source).resolve() if source.lower().endswith(MODEL_FILES) else source
    described = ModelSource(
        "model", file, arguments, weights=Path(weights).resolve() if weights else None, device="cpu"
    )
    model = load(described, InputSpec(channels=channels, size=size), folder).model
    try:
        with torch.no_grad():
            answer = model.answer(torch.full((1, channels, *size), 0.5))
    except Exception:
        return None
    return int(answer.shape[1]) if torch.is_tensor(answer) and answer.ndim == 2 else None
