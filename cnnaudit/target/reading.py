"""How the files of an audit file's `[data]` are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Reading:
    """What `[data]` says beside the sources of the splits.

    Attributes:
        labels: a table of labels beside a flat folder.
        columns: which of its columns is the file, the label and the split; `label` may be a number that picks from a
            vector of labels.
        skip_unreadable: leave files out that cannot be read, and list them.
        others: the folders of the other splits.
    """

    labels: Path | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    skip_unreadable: bool = False
    others: tuple[Path, ...] = ()
