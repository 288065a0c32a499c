"""Ids of checks that another one replaced, as audit files may still name them."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

#: Former id -> id of the check that replaces it, and the unit of its tolerance.
FormerIds = Mapping[str, tuple[str, str]]
NO_FORMER_IDS: FormerIds = MappingProxyType({})


class RenamedCheckWarning(UserWarning):
    """An audit file names a check by its former id."""


def rename(raw: dict[str, Any], known: Collection[str], former: FormerIds, path: Path, problems: list[str]) -> None:
    """Let `ignore`, `[checks."id"]` and `[[expected]]` of a parsed file name checks by their present ids.

    Each former id gives a `RenamedCheckWarning`. A tolerance under it was measured in another unit, so that it is added
    to `problems`; where both ids have settings, so are these.
    """
    checks = raw.get("checks")
    if isinstance(checks, dict):
        ignore = checks.get("ignore")
        if isinstance(ignore, list):
            checks["ignore"] = [new for pattern in ignore for new in _patterns(pattern, known, former, path)]
        for old in [id for id in checks if id in former]:
            _move_settings(checks, old, *former[old], path, problems)
    for entry in raw["expected"] if isinstance(raw.get("expected"), list) else ():
        check = entry.get("check") if isinstance(entry, dict) else None
        if isinstance(check, str) and check.partition("[")[0] in former:
            old, bracket, part = check.partition("[")
            entry["check"] = former[old][0] + bracket + part
            _tell(path, "[[expected]]", old, former[old][0])


def _patterns(pattern: Any, known: Collection[str], former: FormerIds, path: Path) -> list[Any]:
    """The pattern, or the present ids where it matches none of them and former ones only."""
    if not isinstance(pattern, str) or fnmatch.filter(known, pattern):
        return [pattern]
    old = fnmatch.filter(former, pattern)
    for id in old:
        _tell(path, "checks.ignore", id, former[id][0])
    return [former[id][0] for id in old] or [pattern]


def _move_settings(checks: dict[str, Any], old: str, new: str, unit: str, path: Path, problems: list[str]) -> None:
    """Put the table of a former id under the present one."""
    table = checks.pop(old)
    if isinstance(table, dict) and "tolerance" in table:
        problems.append(
            f'checks."{old}".tolerance: {old} is now {new}, which measures something else, in {unit}; '
            f'set [checks."{new}"] tolerance in that unit, or leave it out'
        )
    elif new in checks:
        problems.append(f'checks."{old}": {old} is now {new}, which has settings of its own; leave the old ones out')
    else:
        checks[new] = table
        _tell(path, f'[checks."{old}"]', old, new)


def _tell(path: Path, where: str, old: str, new: str) -> None:
    warnings.warn(f"{path}: {where}: {old} is now {new}; please rename it", RenamedCheckWarning, stacklevel=2)
