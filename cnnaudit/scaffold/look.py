"""What can be seen of a model and of a folder of images before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError, DataError

SAMPLE = 120


@dataclass(frozen=True)
class Folder:
    """What a folder per class holds: class names, images per class, the usual channels and size.

    `unread` says of each image looked at that cannot be read why not.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, int]
    channels: int
    size: tuple[int, int]
    unread: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The counts in words, the first dozen of them."""
        few = [f"{name}: {count}" for name, count in list(self.counts.items())[:12]]
        return "images: " + ", ".join(few) + (", ..." if len(self.counts) > 12 else "")


def look_at_folder(folder: Path) -> Folder:
    """Class names and counts of a folder per class, and the channels and size of a sample of its images.

    Raises:
        AuditError: the folder holds no folders, or no image that can be read.
    """
    from cnnaudit.target.folders import class_folders, entries
    from cnnaudit.target.preparation import opened

    classes = class_folders(folder)
    if not classes:
        raise AuditError(f"{folder} holds no folders: expected one folder of images per class")
    files = {name: [p for p in entries(folder / name, name) if p.is_file()] for name in classes}
    few = max(1, SAMPLE // len(classes))
    modes, sizes, unread = Counter[str](), Counter[tuple[int, int]](), []
    for path in [path for paths in files.values() for path in paths[:few]]:
        try:
            with opened(path, f"{path.parent.name}/{path.name}") as image:
                modes[image.mode] += 1
                sizes[(image.height, image.width)] += 1
        except DataError as error:
            unread.append(str(error))
    if not sizes:
        raise AuditError(f"{folder}: none of its files could be read as an image")
    grey = sum(n for mode, n in modes.items() if mode in ("1", "L", "LA", "I", "F") or mode.startswith("I;16"))
    return Folder(
        classes=classes,
        counts={name: len(paths) for name, paths in files.items()},
        channels=1 if grey == modes.total() else 3,
        size=sizes.most_common(1)[0][0],
        unread=tuple(unread),
    )


def stated_preprocessing(source: str) -> dict[str, Any]:
    """The preprocessing that the publisher of a torchvision or timm model states; empty where none is known.

    Raises:
        AuditError: the library is not installed, or knows no such model.
    """
    library, _, name = source.partition(":")
    readers = {"torchvision": _of_torchvision, "timm": _of_timm}
    if library not in readers:
        return {}
    try:
        return readers[library](name)
    except ImportError:
        raise AuditError(f"{source}: {library} is not installed; pip install {library}") from None
    except (ValueError, RuntimeError, KeyError) as error:
        raise AuditError(f"{source}: {error}") from None


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


def _of_torchvision(name: str) -> dict[str, Any]:
    from torchvision.models import get_model_weights

    stated = next(iter(get_model_weights(name))).transforms()
    return {
        "channels": 3,
        "size": [stated.crop_size[0]] * 2,
        "resize": stated.resize_size[0],
        "interpolation": stated.interpolation.value,
        "mean": list(stated.mean),
        "std": list(stated.std),
    }


def _of_timm(name: str) -> dict[str, Any]:
    import timm

    stated: Any = timm.create_model(name, pretrained=False).pretrained_cfg
    channels, height, width = stated["input_size"]
    return {
        "channels": channels,
        "size": [height, width],
        "resize": round(min(height, width) / stated["crop_pct"]),
        "interpolation": stated["interpolation"],
        "mean": list(stated["mean"]),
        "std": list(stated["std"]),
    }
