"""The defaults of `cnnaudit audit` that a project keeps in the table `[tool.cnnaudit]` of its `pyproject.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnaudit.core.errors import ConfigError
from cnnaudit.core.names import printable
from cnnaudit.core.profiles import PROFILES
from cnnaudit.core.wording import nearest

FILE = "pyproject.toml"
#: The keys, each with the type of its value; they are named as the options of `cnnaudit audit`.
KEYS: Mapping[str, type] = MappingProxyType(
    {"configs": list, "only": list, "report": str, "profile": str, "seed": int, "strict": bool, "quiet": bool}
)


def project_defaults(folder: Path) -> dict[str, Any]:
    """The defaults of the nearest `pyproject.toml` at or above a folder; empty where it has no such table.

    Paths in it (`configs`, `report`) are relative to the file; they come back relative to `folder`.

    Raises:
        ConfigError: the file is no TOML, or a key or a value is not accepted; all problems at once.

    Example:
        >>> project_defaults(Path("/"))
        {}
    """
    file = next((place / FILE for place in (folder, *folder.parents) if (place / FILE).is_file()), None)
    if file is None:
        return {}
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"no TOML: {printable(str(error))}", str(file)) from None
    table = tables.get("cnnaudit", {}) if isinstance(tables, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError("tool.cnnaudit: expected a table [tool.cnnaudit]", str(file))
    problems = [problem for key, value in table.items() if (problem := _problem(key, value))]
    if problems:
        raise ConfigError(problems, str(file))
    return {**table, **_placed(table, file.parent, folder)}


def _problem(key: str, value: Any) -> str:
    """What is wrong with a key or its value; empty where nothing is."""
    name = f"tool.cnnaudit.{printable(key[:100])}"
    if key not in KEYS:
        return f"{name}: unknown key{nearest(key[:100], KEYS)}; it takes {', '.join(KEYS)}"
    kind = KEYS[key]
    texts = not isinstance(value, list) or all(isinstance(item, str) and item for item in value)
    if type(value) is not kind or not texts:
        words = {list: "a list of texts", str: "a text", int: "a whole number", bool: "true or false"}
        return f"{name}: expected {words[kind]}, got {printable(repr(value)[:100])}"
    if key == "profile" and value not in PROFILES:
        return f"{name}: expected one of {', '.join(PROFILES)}, got {printable(repr(value)[:100])}"
    if isinstance(value, int) and not 0 <= value < 2**31:
        return f"{name}: expected a whole number from 0 to {2**31 - 1:,}, got {value}"
    return ""


def _placed(table: Mapping[str, Any], home: Path, folder: Path) -> dict[str, Any]:
    """The table's paths, as seen from `folder`."""
    if home == folder:
        return {}
    found: dict[str, Any] = {}
    if "configs" in table:
        found["configs"] = [os.path.relpath(home / name, folder) for name in table["configs"]]
    if "report" in table:
        found["report"] = os.path.relpath(home / table["report"], folder)
    return found
