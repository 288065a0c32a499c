"""The preprocessing that a library's model states for itself, as keys of `[input]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import one_line


def stated_preprocessing(source: str) -> dict[str, Any]:
    """The preprocessing that the publisher of a torchvision, timm or saved transformers model states.

    Empty where none is known.

    Raises:
        AuditError: the library is not installed, knows no such model, or its files are not as they should be.
    """
    library, _, name = source.partition(":")
    readers = {"torchvision": _of_torchvision, "timm": _of_timm, "hf": _of_transformers}
    if library not in readers:
        return {}
    try:
        return readers[library](name)
    except ImportError:
        raise AuditError(f"{source}: {library} is not installed; pip install {library}") from None
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise AuditError(f"{source}: {one_line(error)}") from None


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
    from timm.models import get_pretrained_cfg, is_model

    if not is_model(name.partition(".")[0]):
        raise ValueError("timm has no such model")
    stated = get_pretrained_cfg(name)
    if stated is None:
        raise ValueError("timm states no preprocessing of it; write [input] yourself")
    channels, height, width = stated.input_size
    known = ("nearest", "bilinear", "bicubic", "lanczos")
    return {
        "channels": channels,
        "size": [height, width],
        "resize": round(min(height, width) / stated.crop_pct),
        "interpolation": stated.interpolation if stated.interpolation in known else "bicubic",
        "mean": list(stated.mean),
        "std": list(stated.std),
    }


def _of_transformers(name: str) -> dict[str, Any]:
    from cnnaudit.target.transformers_files import preprocessing

    return preprocessing(Path(name))
