"""The keys of an audit file: what each of them accepts, in one table, and how a table of the file is read by it."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnaudit.core.names import unsafe_character
from cnnaudit.core.wording import nearest
from cnnaudit.target.config_text import shown, shown_key
from cnnaudit.target.model_sources import CALLABLE, LIBRARIES, MODEL_FILES, OUTPUTS, WEIGHT_FILES

LARGEST_SIDE = 8192  # pixels; one image of that size takes 800 MB
LARGEST_NUMBER = 1_000_000
MOST_CHANNELS = 64


#: What `claims.independent_of` may name: properties of the whole image or its file, each a check `shortcut.NAME`.
CUES = ("color", "tone", "spectrum", "noise", "compression", "file")


class RefusedError(Exception):
    """A value that its key does not accept; its text, if any, ends the message."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it accepts in words, the function that reads its value (or raises RefusedError), its default."""

    accepted: str
    read: Callable[[Any], Any]
    default: Any = None
    required: bool = False


def _kind(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise RefusedError
        return value

    return read


def _integer(low: int, up_to: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not low <= _kind(int)(value) <= up_to:
            raise RefusedError
        return int(value)

    return read


def _number(above: float = -math.inf, up_to: float = math.inf) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = float(_kind(int, float)(value))  # whole numbers have 64 bits here, so that none overflows
        if not (math.isfinite(number) and above < number <= up_to):
            raise RefusedError
        return number

    return read


def _text(pattern: str = r"(?s)\s*\S.*") -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not re.fullmatch(pattern, _kind(str)(value)):
            raise RefusedError
        return str(value)

    return read


def _one_of(*choices: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not any(type(value) is type(choice) and value == choice for choice in choices):  # 1.0 and true equal 1
            raise RefusedError
        return value

    return read


def _several(
    item: Callable[[Any], Any], least: int = 0, distinct: bool = False, single: bool = False
) -> Callable[[Any], tuple[Any, ...]]:
    """A list of at least that many items, as a tuple; `single`: one item may stand without brackets."""

    def read(value: Any) -> tuple[Any, ...]:
        if single and not isinstance(value, list):
            value = [value]
        items = tuple(item(entry) for entry in _kind(list)(value))
        if len(items) < least or (distinct and len(set(items)) < len(items)):
            raise RefusedError
        return items

    return read


def _size(value: Any) -> tuple[int, int]:
    height, width = (value, value) if not isinstance(value, list) else value if len(value) == 2 else (0, 0)
    return _integer(1, LARGEST_SIDE)(height), _integer(1, LARGEST_SIDE)(width)


def _class_name(value: Any) -> str:
    name = _text()(value)
    if len(name) > 255 or unsafe_character(name) is not None:
        raise RefusedError
    return name


def _model_source(value: Any) -> str:
    text: str = _text()(value)
    if text.lower().endswith(MODEL_FILES) or text.startswith(LIBRARIES) or CALLABLE.fullmatch(text):
        return text
    raise RefusedError


def _weights(value: Any) -> str:
    if not _kind(str)(value).lower().endswith(WEIGHT_FILES):
        raise RefusedError
    return str(value)


def _data_source(value: Any) -> tuple[str, Mapping[str, Any]]:
    """The folder or `module:callable`, and the arguments of the latter."""
    table = value if isinstance(value, dict) else {"source": value}
    source, arguments = _text()(table.get("source")), _kind(dict)(table.get("arguments", {}))
    if not table.keys() <= {"source", "arguments"} or (arguments and not CALLABLE.fullmatch(source)):
        raise RefusedError
    return source, arguments


def _date(value: Any) -> datetime.date:
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise RefusedError from None
    if type(value) is not datetime.date:  # a datetime is a date too, but says more than a day
        raise RefusedError
    return value


def _columns(value: Any) -> dict[str, Any]:
    table = _kind(dict)(value)
    for key, name in table.items():
        if key not in ("file", "label", "split"):
            raise RefusedError(f"; {shown(key)} is none of file, label and split")
        if key == "label" and type(name) is int:
            _integer(0, LARGEST_NUMBER)(name)
        else:
            _text()(name)
    return dict(table)


def _white(value: Any) -> float | str:
    if isinstance(value, str):
        return str(_one_of("auto", "file")(value))
    return _number(0, 2**32)(value)


def _cue(value: Any) -> str:
    if _kind(str)(value) not in CUES:
        raise RefusedError(f"; {shown(value)} is none{nearest(value[:100], CUES)}")
    return str(value)


_DATA = (
    "a folder with one folder per class (or a flat one beside data.labels), an .npz file, .tar shards, "
    "'module:callable', "
    "or a table of source and arguments"
)

KEYS: Mapping[str, Mapping[str, Key]] = {
    "model": {
        "name": Key(
            "a name that can be a folder's: letters, digits, '.', '_' and '-', the first no '.'",
            _text(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"),
            required=True,
        ),
        "source": Key(
            "'module:callable', 'torchvision:NAME', 'timm:NAME', 'hf:FOLDER' or a file "
            "(.pt2 of torch.export; .pt, .ts, .torchscript of TorchScript; .onnx)",
            _model_source,
            required=True,
        ),
        "arguments": Key("a table of keyword arguments", _kind(dict), {}),
        "weights": Key(f"a file of weights ({', '.join(WEIGHT_FILES)})", _weights),
        "weights_key": Key("the key under which the checkpoint holds the weights, such as 'ema'", _text()),
        "outputs": Key(f"one of {', '.join(map(repr, OUTPUTS))}", _one_of(*OUTPUTS), "logits"),
        "device": Key("'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'", _text(r"auto|cpu|cuda(:[0-9]{1,3})?|mps"), "auto"),
        "batch_size": Key("a whole number of at least 1 and at most 1,000,000", _integer(1, LARGEST_NUMBER), 64),
        "trusted": Key("true or false", _kind(bool), False),
    },
    "input": {
        "channels": Key(
            f"1 or 3, or a whole number up to {MOST_CHANNELS} for arrays and TIFF", _integer(1, MOST_CHANNELS), 3
        ),
        "size": Key(f"[height, width] in pixels, at most {LARGEST_SIDE} each, or one number for both", _size),
        "resize": Key(
            f"the shorter side in pixels before the crop to size, at most {LARGEST_SIDE}", _integer(1, LARGEST_SIDE)
        ),
        "interpolation": Key(
            "'nearest', 'bilinear', 'bicubic' or 'lanczos'",
            _one_of("nearest", "bilinear", "bicubic", "lanczos"),
            "bilinear",
        ),
        "order": Key("'RGB' or 'BGR'", _one_of("RGB", "BGR"), "RGB"),
        "scale": Key(
            "the largest pixel value that the network takes, such as 1 or 255, at most 1,000,000",
            _number(1e-6, LARGEST_NUMBER),
            1.0,
        ),
        "mean": Key(
            "one number, or one per channel, between -1,000,000 and 1,000,000",
            _several(_number(-LARGEST_NUMBER, LARGEST_NUMBER), least=1, single=True),
            (0.0,),
        ),
        "std": Key(
            "one number above 0.000001 and at most 1,000,000, or one per channel",
            _several(_number(1e-6, LARGEST_NUMBER), least=1, single=True),
            (1.0,),
        ),
        "already": Key("'normalized', where a callable's tensors are", _one_of("normalized")),
    },
    "data": {
        "train": Key(_DATA, _data_source),
        "validation": Key(_DATA, _data_source),
        "production": Key(f"{_DATA}; or a folder of images without labels", _data_source),
        "classes": Key(
            "a list of at least two different names without control characters, in the order of the logits",
            _several(_class_name, 2, distinct=True),
        ),
        "class_indices": Key(
            "a list of different whole numbers, the position of each class's logit in the model's answer",
            _several(_integer(0, LARGEST_NUMBER), 1, distinct=True),
        ),
        "metadata": Key("a CSV file", _text()),
        "labels": Key("a table of files and labels, .csv, .tsv or .parquet", _text(r"(?is).*\S\.(csv|tsv|parquet)")),
        "columns": Key(
            "a table of the columns that hold file, label and split, such as { label = 'dx' }", _columns, {}
        ),
        "scale": Key("the value of white in images of more than 8 bits: a number, 'auto' or 'file'", _white),
        "skip_unreadable": Key("true or false", _kind(bool), False),
    },
    "claims": {
        "accuracy": Key("a number in (0, 1]", _number(0, 1)),
        "rotation_degrees": Key("a number in (0, 180]", _number(0, 180)),
        "translation_pixels": Key(
            f"a whole number of at least 1 and at most {LARGEST_SIDE}", _integer(1, LARGEST_SIDE)
        ),
        "scale": Key("the largest factor of size, a number above 1 and at most 1000", _number(1, 1000)),
        "noise": Key("a standard deviation in (0, 1], for pixels in [0, 1]", _number(0, 1)),
        "polarity": Key("true or false", _kind(bool), False),
        "independent_of": Key(f"a list of cues: {', '.join(CUES)}", _several(_cue, distinct=True), ()),
        "calibrated": Key("the largest mean confidence less accuracy, either way, a number in (0, 1]", _number(0, 1)),
        "corruption_accuracy": Key("the mean accuracy under common corruptions, a number in (0, 1]", _number(0, 1)),
        "pipeline_changes": Key("the largest share of predictions that change, a number in (0, 1]", _number(0, 1)),
        "negative_flips": Key(
            "the largest share of images that only the previous model gets right, a number in (0, 1]", _number(0, 1)
        ),
    },
}
#: What `[model.previous]` takes: a model of its own, the order of its logits, and how it normalizes its input.
PREVIOUS_KEYS: Mapping[str, Key] = {
    **KEYS["model"],
    "classes": KEYS["data"]["classes"],
    "input": Key("a table with order, scale, mean and std", _kind(dict)),
}
NORMALIZATION_KEYS: Mapping[str, Key] = {name: KEYS["input"][name] for name in ("order", "scale", "mean", "std")}
CHECK_KEYS: Mapping[str, Key] = {
    "tolerance": Key("a number", _number()),
    "gate": Key("true or false", _kind(bool)),
}
EXPECTED_KEYS: Mapping[str, Key] = {
    "check": Key("a check id, with or without its [part]", _text(), required=True),
    "reason": Key("a sentence that says why the failure is accepted", _text(), required=True),
    "until": Key("a date such as 2027-06-30", _date),
}


def read_table(where: str, table: Any, keys: Mapping[str, Key], problems: list[str]) -> dict[str, Any]:
    """The values of a table by its keys, defaults filled in; everything that is wrong is added to `problems`."""
    if not isinstance(table, dict):
        problems.append(f"{where} = {shown(table)}: expected a table with {', '.join(keys)}")
        table = {}
    problems.extend(
        f"{where}.{shown_key(name)}: unknown key{nearest(name[:100], keys)}" for name in table if name not in keys
    )
    values = {}
    for name, key in keys.items():
        values[name] = key.default
        if name not in table:
            if key.required:
                problems.append(f"{where}.{name}: missing; expected {key.accepted}")
            continue
        try:
            values[name] = key.read(table[name])
        except RefusedError as refused:
            problems.append(f"{where}.{name} = {shown(table[name])}: expected {key.accepted}{refused}")
    return values
