"""The files of a saved transformers model, read as JSON and safetensors before transformers sees them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import listed

LARGEST_JSON = 10_000_000  # bytes
LARGEST_NUMBER = 10_000_000
MOST_LAYERS = 1_000
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
CROPPED = 0.875  # of ConvNeXt's processor, below 384 pixels
PROCESSOR = "preprocessor_config.json"


def configuration(folder: Path) -> dict[str, Any]:
    """The `config.json` of a saved image classifier.

    Raises:
        ModelError: it is missing, no JSON, asks for code of its own, is of no image classifier, or has sizes beyond
            bounds.
    """
    config = _json(folder / "config.json")
    if code := [key for key in ("auto_map", "custom_pipelines") if config.get(key)]:
        raise ModelError(f"{folder.name}/config.json: {code[0]} asks for code of its own, which is never run")
    names = config.get("architectures") or []
    if not isinstance(names, list) or not any(str(name).endswith("ForImageClassification") for name in names):
        raise ModelError(
            f"{folder.name}/config.json: architectures = {str(names)[:200]}, expected one "
            "...ForImageClassification. Save "
            "the fine-tuned classifier, not its backbone"
        )
    _check_numbers(config, f"{folder.name}/config.json", 0)
    return config


def tensor_sizes(folder: Path) -> dict[str, int]:
    """How many numbers each tensor of the folder's safetensors files has, by name; nothing but headers is read.

    Raises:
        ModelError: there are none, or the index names a file elsewhere.
    """
    from safetensors import safe_open

    files = [folder / "model.safetensors"]
    if (index := folder / "model.safetensors.index.json").is_file():
        shards = _json(index).get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        if not names or not all(re.fullmatch(r"[\w.-]{1,200}\.safetensors", name, re.ASCII) for name in names):
            raise ModelError(f"{folder.name}/{index.name}: expected names of .safetensors files beside it")
        files = [folder / name for name in names]
    sizes: dict[str, int] = {}
    for file in files:
        if not file.is_file():
            others = [p.name for p in sorted(folder.glob("*.bin"))]
            pickles = f"; {listed(others)} may hold code and is not read" if others else ""
            raise ModelError(
                f"{folder.name}: no {file.name}{pickles}. Save the model with model.save_pretrained(folder), which "
                "writes "
                "safetensors"
            )
        try:
            with safe_open(file, framework="pt") as tensors:
                sizes |= {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except Exception as error:  # of Rust
            raise ModelError(f"{folder.name}/{file.name}: not a safetensors file ({error})") from None
    return sizes


def preprocessing(folder: Path) -> dict[str, Any]:
    """The keys of `[input]` that the folder's image processor stands for.

    Raises:
        ModelError: there is no processor, or it does what `[input]` cannot say.
    """
    if not (folder / PROCESSOR).is_file():
        raise ModelError(f"{folder.name}: no {PROCESSOR}; write size, mean and std into [input] yourself")
    stated = _json(folder / PROCESSOR)
    if unknown := [key for key in ("do_pad", "do_flip_channel_order", "do_thumbnail") if stated.get(key)]:
        raise ModelError(
            f"{folder.name}/{PROCESSOR}: {unknown[0]} is nothing that [input] can do; write [input] yourself"
        )
    found: dict[str, Any] = {"channels": 3, **_size(stated, folder)}
    if stated.get("do_rescale", True):
        found["scale"] = _number(stated.get("rescale_factor", 1 / 255), folder) * 255
    else:
        found["scale"] = 255.0
    if stated.get("do_normalize", True) and stated.get("image_mean") is not None:
        found["mean"] = [_number(value, folder) for value in stated["image_mean"]]
        found["std"] = [_number(value, folder) for value in stated.get("image_std") or [1.0]]
    return found


def _size(stated: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The size after the crop, the shorter side before it, and the interpolation."""
    size = stated.get("size")
    size = size if isinstance(size, Mapping) else {"height": size, "width": size}
    crop = stated.get("crop_size") if stated.get("do_center_crop") else None
    crop = crop if isinstance(crop, Mapping) or crop is None else {"height": crop, "width": crop}
    interpolation = RESAMPLING.get(stated.get("resample", 2))
    if interpolation is None or not stated.get("do_resize", True):
        raise ModelError(f"{folder.name}/{PROCESSOR}: resizes in no way that [input] can say; write [input] yourself")
    resize: int | None
    if isinstance(short := size.get("shortest_edge"), int):
        if crop:
            sides, resize = [crop.get("height"), crop.get("width")], short
        else:  # ConvNeXt's processor resizes to more and crops, up to 384 pixels
            sides = [short, short]
            resize = int(short / (stated.get("crop_pct") or CROPPED)) if short < 384 else None
    else:
        sides, resize = [size.get("height"), size.get("width")], None
        if crop and [crop.get("height"), crop.get("width")] != sides:
            raise ModelError(f"{folder.name}/{PROCESSOR}: crops {dict(crop)} from {dict(size)}; write [input] yourself")
    if not all(type(side) is int for side in sides):
        raise ModelError(
            f"{folder.name}/{PROCESSOR}: size = {str(stated.get('size'))[:200]}, expected height and width"
        )
    return {"size": sides, "interpolation": interpolation, **({"resize": resize} if resize is not None else {})}


def _number(value: Any, folder: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ModelError(f"{folder.name}/{PROCESSOR}: expected a number, got {str(value)[:100]!r}")
    return float(value)


def _check_numbers(value: Any, where: str, depth: int) -> None:
    """Refuse sizes that no model has, before anything of such a size is built."""
    if depth > 16:
        raise ModelError(f"{where}: nested over 16 deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            deep = re.search(r"layers|depth|blocks|stages", str(key)) is not None
            for number in inner if isinstance(inner, list) else [inner]:
                if deep and type(number) is int and not 0 <= number <= MOST_LAYERS:
                    raise ModelError(f"{where}: {str(key)[:100]} = {number}, expected at most {MOST_LAYERS:,}")
            _check_numbers(inner, where, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, where, depth + 1)
    elif type(value) is int and abs(value) > LARGEST_NUMBER:
        raise ModelError(f"{where}: a number of {value.bit_length()} bits, expected at most {LARGEST_NUMBER:,}")


def _json(path: Path) -> dict[str, Any]:
    """A JSON object of a bounded length."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise ValueError(f"expected at most {LARGEST_JSON:,} bytes")
        read = json.loads(content)
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent.name}: no {path.name}; expected a folder of model.save_pretrained(folder)"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.parent.name}/{path.name}: cannot be read as JSON ({error})") from None
    if not isinstance(read, dict):
        raise ModelError(f"{path.parent.name}/{path.name}: expected an object, got {type(read).__name__}")
    return read
