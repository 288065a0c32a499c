"""The form of a report and of a journal's lines, checked before anything of them is used.

A report comes from outside: it is downloaded, merged, edited. What this module lets through is safe to draw and print.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, get_args

from cnnaudit.core.findings import SCHEMA, SCHEMAS, Direction, Verdict
from cnnaudit.report.forms import (
    FormError,
    Refused,
    anything,
    boolean,
    choice,
    day,
    expected,
    integer,
    list_of,
    mapping_of,
    number,
    optional,
    record,
    text,
    tuple_of,
)
from cnnaudit.report.paths import is_file_name
from cnnaudit.report.predictions import MOST_IMAGES

JOURNAL = "cnnaudit.journal/1"
NAME = text(1_000)
CHECK = text(2_000)
COUNT = integer()
NUMBERS = list_of(number())
LARGEST_PICTURE = 4_000_000


def check_report(data: Any) -> None:
    """Refuse what is not a report of a known schema.

    Raises:
        FormError: with the JSON path of what is wrong.
    """
    _known(data, SCHEMAS, f"expected the schema {SCHEMA!r}")
    _REPORT(data, "$")
    _classes_known(data)


def check_header(data: Any) -> None:
    """Refuse what is not the first line of a journal.

    Raises:
        FormError: with the JSON path of what is wrong.
    """
    _known(data, (JOURNAL,), f"expected the schema {JOURNAL!r}")
    _HEADER(data, "$")


def check_entry(data: Any) -> None:
    """Refuse what is not a later line of a journal: the record of a check, or the end of the run.

    Raises:
        FormError: with the JSON path of what is wrong.
    """
    (_END if isinstance(data, dict) and "end" in data else _RECORD)(data, "$")


def _known(data: Any, schemas: tuple[str, ...], wanted: str) -> None:
    found = data.get("schema") if isinstance(data, dict) else type(data).__name__
    if isinstance(data, Refused):
        raise FormError("$", data.problem)
    if not isinstance(found, str) or found not in schemas:
        raise FormError("$.schema", f"{wanted}, found {str(found)[:60]!r}")


def _evidence(value: Any, path: str) -> None:
    """A piece of evidence of a known kind, whose parts fit together."""
    mapping_of(lambda _value, _path: None)(value, path)
    kind = value.get("kind")
    choice(*_EVIDENCE)(kind, f"{path}.kind")
    _EVIDENCE[kind](value, path)
    if kind == "table":
        for k, row in enumerate(value["rows"]):
            _same_length(row, value["columns"], "one value per column", f"{path}.rows[{k}]")
    elif kind == "heat_map":
        for k, row in enumerate(value["values"]):
            _same_length(row, value["values"][0], "rows of equal length", f"{path}.values[{k}]")
    elif kind == "curve":
        for name, line in value["lines"].items():
            _same_length(line, value["x"], "one value per x", f"{path}.lines[{name[:60]!r}]")


def _predictions(value: Any, path: str) -> None:
    """The predictions of a run's sample, whose parts fit together, or why there are none."""
    if isinstance(value, dict) and "missing" in value:
        record({"missing": text()}, {})(value, path)
        return
    _PREDICTIONS(value, path)
    for name in ("names", "fingerprints", "top1", "confidence"):
        _same_length(value[name], value["labels"], "one entry per label", f"{path}.{name}")
    n, drawn = len(value["labels"]), {picture["image"] for picture in value["pictures"]}
    for name, places in (("strip", value["strip"]), ("pictures", drawn)):
        if beyond := [place for place in places if place >= n or place not in drawn]:
            raise FormError(f"{path}.{name}", f"expected images with a picture, of {n}, found the position {beyond[0]}")


def _classes_known(report: dict[str, Any]) -> None:
    """Predictions name classes that the target has."""
    section, known = report.get("predictions") or {}, len(report["target"].get("classes", ()))
    for name in ("labels", "top1"):
        if section.get(name) and max(section[name]) >= known:
            raise FormError(f"$.predictions.{name}", f"expected positions in the {known} $.target.classes")


def _same_length(found: list[Any], wanted: list[Any], rule: str, path: str) -> None:
    if len(found) != len(wanted):
        raise FormError(path, f"expected {rule}: {len(wanted)}, found {len(found)}")


def _png(value: Any, path: str) -> None:
    """A PNG as base64 text."""
    text(LARGEST_PICTURE)(value, path)
    try:
        start = base64.b64decode(value, validate=True)[:8]
    except (binascii.Error, ValueError):
        start = b""
    if start != b"\x89PNG\r\n\x1a\n":
        raise expected("a PNG as base64 text", "something else", path)


def _file(value: Any, path: str) -> None:
    """The name of a table's file, which must stay beside the report."""
    text(200)(value, path)
    if not is_file_name(value, ".csv"):
        raise FormError(path, f"expected a plain file name such as pairs.csv, found {value!r}")


def _cell(value: Any, path: str) -> None:
    if isinstance(value, (dict, list, Refused)):
        raise expected("text, a number, true, false or null", value, path)
    anything(value, path)


_DRAWN = {"kind": NAME, "title": CHECK}
_LABELLED = {**_DRAWN, "label": CHECK}
_EVIDENCE = {
    "table": record({**_DRAWN, "columns": list_of(CHECK, 200), "rows": list_of(list_of(_cell, 200))}, {"file": _file}),
    "images": record({**_DRAWN, "images": list_of(record({"png": _png, "caption": CHECK}, {}), 200)}, {}),
    "heat_map": record(
        {**_LABELLED, "values": list_of(list_of(number(), 4_000, 1), 4_000, 1), "rows": CHECK, "columns": CHECK}, {}
    ),
    "null_distribution": record(
        {**_LABELLED, "null": list_of(number(), least=1), "observed": number()}, {"tolerance": optional(number())}
    ),
    "curve": record(
        {
            **_DRAWN,
            "x": NUMBERS,
            "lines": mapping_of(list_of(optional(number())), 500),
            "x_label": CHECK,
            "y_label": CHECK,
        },
        {},
    ),
    "bars": record({**_LABELLED, "values": mapping_of(number(), 10_000)}, {"tolerance": optional(number())}),
    "boxes": record({**_LABELLED, "values": mapping_of(list_of(number(), 5, 5), 10_000)}, {}),
}

_LOCATION = record(
    {"statistic": number()},
    {
        "layer": optional(NAME),
        "unit": optional(integer(-1)),
        "class": optional(NAME),
        "pixel": optional(tuple_of(integer(-LARGEST_PICTURE), integer(-LARGEST_PICTURE))),
        "image": optional(CHECK),
    },
)

_NUMBER = optional(number())
_FINDING = record(
    {"check": CHECK, "target": NAME, "verdict": choice(*get_args(Verdict)), "summary": text()},
    {
        "gate": boolean,
        "expected": optional(text()),
        "hint": text(),
        "statistic": _NUMBER,
        "statistic_name": CHECK,
        "unit": CHECK,
        "interval": optional(tuple_of(number(), number())),
        "confidence": optional(number(0, 1)),
        "tolerance": _NUMBER,
        "direction": choice(*get_args(Direction)),
        "p_value": optional(number(0, 1)),
        "n": COUNT,
        "n_unit": CHECK,
        "needed_n": optional(COUNT),
        "detectable_effect": _NUMBER,
        "profile": NAME,
        "seed": integer(-(2**64), 2**64),
        "remedy": text(),
        "reference": text(),
        "locations": list_of(_LOCATION),
        "evidence": list_of(_evidence, 1_000),
        "seconds": number(0),
    },
)

_PLACE = integer(0, MOST_IMAGES)
_RANGE = tuple_of(number(), number())
_CLASS = integer()
_PREDICTIONS = record(
    {
        "split": NAME,
        "of": COUNT,
        "names": list_of(NAME, MOST_IMAGES),
        "fingerprints": list_of(text(64), MOST_IMAGES),
        "labels": list_of(_CLASS, MOST_IMAGES, 1),
        "top1": list_of(_CLASS, MOST_IMAGES),
        "confidence": list_of(number(0, 1), MOST_IMAGES),
        "pixels": _RANGE,
        "normalized": _RANGE,
        "strip": list_of(_PLACE, 100),
        "pictures": list_of(record({"image": _PLACE, "png": _png}, {}), 100),
    },
    {},
)

_EXPECTED = record({"check": CHECK, "reason": text()}, {"until": optional(day)})
_SPLIT = record({"images": COUNT}, {"per_class": mapping_of(COUNT)}, more=anything)
_INPUT = record({}, {"size": list_of(COUNT, 8), "channels": COUNT}, more=anything)
_TARGET = record(
    {"name": NAME},
    {
        "previous": NAME,
        "source": text(4_096),
        "classes": list_of(NAME),
        "input": _INPUT,
        "claims": mapping_of(anything, 200),
        "splits": mapping_of(_SPLIT, 200),
        "expected": list_of(_EXPECTED, 10_000),
    },
    more=anything,
)
_ENVIRONMENT = record({}, {"strict": boolean, "time": day}, more=anything)
_CHECKS = list_of(CHECK, 10_000)
_COMPLETENESS = record(dict.fromkeys(("selected", "recorded", "crashed", "ignored", "missing"), _CHECKS), {})
_ERROR = record({"check": CHECK, "message": text()}, {})
_REPORT = record(
    {"schema": NAME, "target": _TARGET, "environment": _ENVIRONMENT, "findings": list_of(_FINDING, 10_000)},
    {
        "errors": list_of(_ERROR, 10_000),
        "complete": boolean,
        "completeness": optional(_COMPLETENESS),
        "journal": optional(record({"run": NAME, "records": COUNT}, {})),
        "predictions": optional(_predictions),
        "cues": anything,
    },
)

_SELECTED = record({"test": text(4_096), "checks": _CHECKS}, {})
_HEADER = record(
    {
        "schema": NAME,
        "run": NAME,
        "target": _TARGET,
        "environment": _ENVIRONMENT,
        "selected": optional(list_of(_SELECTED, 10_000)),
    },
    {},
)
_RECORD = record(
    {"check": CHECK, "test": text(4_096), "findings": list_of(_FINDING, 10_000), "error": text(), "ignored": boolean},
    {"predictions": optional(_predictions)},
)
_END = record({"end": boolean}, {})
