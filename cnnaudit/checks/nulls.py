"""The measured null distributions behind the tolerances, kept in `baselines/null/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


def null_distribution(check: str) -> Mapping[str, Any] | None:
    """What was measured for a check's tolerance (the content of `baselines/null/<id>.json`), or None.

    `["populations"]` lists, for each clean or defective population, its `statistics` over seeds.
    """
    file = resources.files("cnnaudit.baselines") / "null" / f"{check.partition('[')[0]}.json"
    if not file.is_file():
        return None
    content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
