"""The checks that there are: ours, found by the place of their files, and those of other packages."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cnnaudit.checks.registry import Check
from cnnaudit.core.errors import AuditError, ConfigError

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

GROUP = "cnnaudit.checks"
_named: dict[tuple[tuple[str, ...], Path | None], dict[str, Check]] = {}


def catalogue(modules: Sequence[str] = (), folder: Path | None = None) -> Mapping[str, Check]:
    """The checks of this package by id, and those of the modules that an audit file names.

    Args:
        modules: names of modules or packages, or of entry points in the group `cnnaudit.checks`.
        folder: where modules are looked for first, the audit file's own.

    Raises:
        ConfigError: a module cannot be imported, holds no check, or two checks share an id.
    """
    key = (tuple(modules), folder)
    if key not in _named:
        found = dict(_ours())
        for name in modules:
            _add(found, _theirs(name, folder), name)
        _named[key] = found
    return _named[key]


def catalogue_of(target: AuditTarget) -> Mapping[str, Check]:
    """The checks of this package and of the modules that the target's file names."""
    return catalogue(target.check_modules, Path(target.source).parent.resolve() if target.source else None)


def known_checks(modules: Sequence[str] = ()) -> Mapping[str, Check]:
    """All checks that can be explained and calibrated: ours, installed ones, and those that an audit file named.

    Installed checks count in a run's correction only where the audit file names them.

    Args:
        modules: others, looked for in the current folder first.
    """
    if modules:
        catalogue(tuple(modules), Path.cwd())
    found = dict(_ours())
    for checks in _named.values():
        found = {**checks, **found}
    for point in metadata.entry_points(group=GROUP):
        found = {**{check.id: check for check in _checks_in(importlib.import_module(point.module))}, **found}
    return found


def former_ids() -> Mapping[str, tuple[str, str]]:
    """Ids of checks that another one replaces: its id, and the unit of its tolerance.

    Example:
        >>> former_ids()["dataset.border_shortcut"]
        ('shortcut.place', 'share of images')
    """
    return {old: (check.id, check.unit) for check in _ours().values() for old in check.replaces}


def family(name: str) -> list[Check]:
    """The checks of one of our families, in the order of their ids."""
    return [check for check in _ours().values() if check.family == name]


@functools.cache
def _ours() -> dict[str, Check]:
    import cnnaudit.checks

    found: dict[str, Check] = {}
    for folder in pkgutil.iter_modules(cnnaudit.checks.__path__):
        if folder.ispkg:
            name = f"cnnaudit.checks.{folder.name}"
            _add(found, _checks_in(importlib.import_module(name)), name)
    return found


def _theirs(name: str, folder: Path | None) -> list[Check]:
    """The checks of somebody else's module, package or entry point."""
    from cnnaudit.target.imports import module

    installed = {point.name: point.module for point in metadata.entry_points(group=GROUP)}
    key = f"checks.modules = [{name!r}]"
    try:
        found = list(_checks_in(module(installed.get(name, name), folder or Path.cwd(), key, ConfigError)))
    except AuditError as error:
        raise ConfigError(str(error)) from None
    if not found:
        raise ConfigError(f"{key}: the module holds no check; decorate a function with cnnaudit.checks.check")
    return found


def _checks_in(module: ModuleType) -> Iterator[Check]:
    """The checks that a module or the modules of a package define; `_*.py` and `*_figures.py` hold none."""
    yield from (item for item in vars(module).values() if isinstance(item, Check) and item.module == module.__name__)
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not inner.name.startswith("_") and not inner.name.endswith("_figures"):
            yield from _checks_in(importlib.import_module(f"{module.__name__}.{inner.name}"))


def _add(found: dict[str, Check], checks: Iterable[Check], where: str) -> None:
    for check in checks:
        if found.setdefault(check.id, check) is not check:
            raise ConfigError(f"{where}: another check is called {check.id!r} already ({found[check.id].module})")
