"""What a finding shows beside its number: tables and figure data, as plain JSON values.

A check attaches data; `cnnaudit.report` draws it. Every constructor returns a mapping with `kind` and `title`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Evidence = Mapping[str, Any]
MOST_ROWS = 100_000


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, file: str | None = None) -> Evidence:
    """A table; every row has one value per column (string, number, boolean or None).

    Args:
        file: a plain name such as `pairs.csv`. The whole table is then also written beside the report, as
            `tables/<check>-pairs.csv`, and the page shows its first rows with a link; for up to 100,000 rows.

    Raises:
        ValueError: a row has another length, there are too many rows, or the name is no plain file name.

    Example:
        >>> table("Pairs", ["image", "copy"], [["a.png", "b.png"]], file="pairs.csv")["rows"]
        [['a.png', 'b.png']]
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"table {title!r}: expected {len(columns)} values a row, got {len(row)}: {row}")
    if len(rows) > MOST_ROWS:
        raise ValueError(f"table {title!r}: expected at most {MOST_ROWS:,} rows, got {len(rows):,}")
    if file is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}\.csv", file):
        raise ValueError(f"table {title!r}: expected a plain file name such as pairs.csv, got {file!r}")
    made = {"kind": "table", "title": title, "columns": list(columns), "rows": [[_plain(v) for v in r] for r in rows]}
    return made if file is None else {**made, "file": file}


def images(title: str, pictures: np.ndarray, captions: Sequence[str]) -> Evidence:
    """A row of images: `pictures` float (n, C, H, W) in [0, 1], one caption each; at most 24 are kept.

    Images of another number of channels than 1 and 3 are shown as the mean of their channels, which the title says.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or not pictures.shape[1] or len(pictures) != len(captions):
        raise ValueError(
            f"images {title!r}: expected (n, C, H, W) and n captions, got {pictures.shape} and {len(captions)}"
        )
    if pictures.shape[1] not in (1, 3):
        title = f"{title} (the mean of {pictures.shape[1]} channels)"
        pictures = pictures.mean(1, keepdims=True)
    items = [{"png": png(image), "caption": str(text)} for image, text in zip(pictures[:24], captions[:24])]
    return {"kind": "images", "title": title, "images": items}


def heat_map(title: str, values: np.ndarray, *, label: str, rows: str = "row", columns: str = "column") -> Evidence:
    """A matrix drawn as colours: `values` (H, W), `label` names the colour bar with its unit."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"heat map {title!r}: expected a matrix, got shape {values.shape}")
    rounded = [[_plain(float(f"{v:.5g}")) for v in row] for row in values]
    return {"kind": "heat_map", "title": title, "values": rounded, "label": label, "rows": rows, "columns": columns}


def null_distribution(
    title: str, null: Sequence[float] | np.ndarray, observed: float, *, label: str, tolerance: float | None = None
) -> Evidence:
    """A histogram of the statistic without the defect, with the observed value and the tolerance marked."""
    values = [float(f"{v:.5g}") for v in np.asarray(null, dtype=float)]
    return {
        "kind": "null_distribution",
        "title": title,
        "null": values,
        "observed": float(observed),
        "tolerance": tolerance,
        "label": label,
    }


def curve(
    title: str,
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
) -> Evidence:
    """Lines over a common x axis; each line has one y value per x."""
    for name, y in lines.items():
        if len(y) != len(x):
            raise ValueError(f"curve {title!r}: line {name!r} has {len(y)} values for {len(x)} x")
    return {
        "kind": "curve",
        "title": title,
        "x": [_plain(v) for v in x],
        "lines": {name: [_plain(v) for v in y] for name, y in lines.items()},
        "x_label": x_label,
        "y_label": y_label,
    }


def bars(title: str, values: Mapping[str, float], *, label: str, tolerance: float | None = None) -> Evidence:
    """One bar per name; `label` names the value axis with its unit."""
    return {
        "kind": "bars",
        "title": title,
        "values": {name: _plain(v) for name, v in values.items()},
        "label": label,
        "tolerance": tolerance,
    }


def boxes(title: str, values: Mapping[str, Sequence[float] | np.ndarray], *, label: str) -> Evidence:
    """A boxplot per name: of each array of values the smallest, the quartiles and the largest are kept."""
    summaries = {
        name: [float(f"{q:.5g}") for q in np.quantile(np.asarray(array, dtype=float), [0, 0.25, 0.5, 0.75, 1])]
        for name, array in values.items()
    }
    return {"kind": "boxes", "title": title, "values": summaries, "label": label}


def _plain(value: Any) -> Any:
    """NumPy scalars as Python ones."""
    return value.item() if isinstance(value, np.generic) else value


def png(image: np.ndarray, longer_side: int = 224) -> str:
    """A (C, H, W) image in [0, 1], C 1 or 3, as base64 PNG, its longer side at most so many pixels."""
    from PIL import Image

    array = (np.clip(np.moveaxis(image, 0, -1), 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    picture.thumbnail((longer_side, longer_side))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
