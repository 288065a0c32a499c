"""Import what an audit file names as `module:callable`, from that file's folder first."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import nearest, one_line

_folders: set[Path] = set()


def call(
    reference: str, arguments: Mapping[str, Any], folder: Path, key: str, kind: type[AuditError] = AuditError
) -> Any:
    """What the callable `module:name` returns for those arguments.

    Args:
        folder: searched before all other places; afterwards the last of them, for modules imported later.
        key: of the audit file, for messages.
        kind: the error to raise.

    Raises:
        AuditError: as `kind`: there is no such module or name, or importing or calling it raised.
    """
    function = find(reference, folder, key, kind)
    try:
        with _first(folder):
            return function(**arguments)
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise kind(f"{key}: {reference}({given}) raised {one_line(error)}") from error


def find(reference: str, folder: Path, key: str, kind: type[AuditError] = AuditError) -> Any:
    """The callable that `module:name` names. Arguments and errors as in `call`."""
    home, _, name = reference.partition(":")
    found: Any = module(home, folder, f"{key} = {reference!r}", kind)
    for part in name.split("."):
        if not hasattr(found, part):
            public = [known for known in dir(found) if not known.startswith("_")]
            raise kind(f"{key} = {reference!r}: {found.__name__} has no {part!r}{nearest(part, public)}")
        found = getattr(found, part)
    if not callable(found):
        raise kind(f"{key} = {reference!r}: {name} is a {type(found).__name__}; expected a function or class to call")
    return found


def module(name: str, folder: Path, key: str, kind: type[AuditError] = AuditError) -> ModuleType:
    """The module of that name, looked for in the folder first. Arguments and errors as in `call`."""
    try:
        with _first(folder):
            found = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise kind(f"{key}: no module {error.name!r} in {folder} or installed") from None
        raise kind(f"{key}: importing {name} raised {one_line(error)}") from error
    expected = _file_of(folder, name)
    if expected and _origin(found) != expected:
        raise kind(
            f"{key}: Python already holds another module {name!r} ({_origin(found)}); "
            f"rename {expected} or put it into a package"
        )
    return found


@contextlib.contextmanager
def _first(folder: Path) -> Iterator[None]:
    """Imports look into the folder before all other places; afterwards it is the last of them."""
    _forget_others(folder)
    _folders.add(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have changed the path as well
            sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _forget_others(folder: Path) -> None:
    """Forget modules of other audit files that the folder has under the same name; who holds them keeps them."""
    taken = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", "")).startswith(tuple(f"{other}{os.sep}" for other in _folders))
        and (own := _file_of(folder, name))
        and own != _origin(module)
    }
    for name in list(sys.modules):
        if name.partition(".")[0] in taken:
            del sys.modules[name]


def _file_of(folder: Path, module: str) -> Path | None:
    """The file from which that module would be imported, were the folder the only place to look."""
    base = folder.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_name(f"{base.name}.py")) if path.is_file()), None)


def _origin(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None
