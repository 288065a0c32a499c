"""Writes a command's files so that no finished work is lost, and says how to go on."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.pages.arguments import reason


class OutputError(AuditError):
    """A file that cannot be written; the message says where its content is kept."""


def prepared(folder: Path, option: str = "--output") -> Path:
    """The folder, made where it is missing: asked before the work, so that none is done in vain.

    Raises:
        OutputError: a file stands in its place, or it cannot be written to; the option is named.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{folder}: nothing can be written there ({reason(error)}); name another folder with {option}"
        ) from error
    return folder


def write(files: Mapping[Path, str | bytes]) -> None:
    """Write files whole; where that fails, keep them in a new temporary folder and say which.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> write({folder / "page.html": "<p>"})
        >>> (folder / "page.html").read_text()
        '<p>'
    """
    try:
        write_whole(files)
    except OSError as error:
        raise OutputError(f"{_place(error, files)}: cannot be written ({reason(error)}); {_kept(files)}") from error


@contextlib.contextmanager
def resumable(kept: Callable[[], str]) -> Iterator[None]:
    """Around work that keeps its parts on the disk: whatever ends it early says what is kept and how to go on.

    Args:
        kept: says what is there and where, such as `3 finished parts in reports/a/work`.

    Raises:
        KeyboardInterrupt: as it came, with that message.
        OutputError: for every other `OSError`.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {kept()}. The same command continues from there") from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        raise OutputError(f"{place}{reason(error)}; {kept()}. {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    free = "Free some space; then t" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Once this is mended, t"
    return f"{free}he same command continues from there"


def _place(error: OSError, files: Mapping[Path, str | bytes]) -> str:
    """The file that is meant; temporary names, which the user never gave, are not shown."""
    named = str(error.filename2 or error.filename or "")
    return next((str(path) for path in files if path.name in named), str(next(iter(files))))


def _kept(files: Mapping[Path, str | bytes]) -> str:
    try:
        folder = Path(tempfile.mkdtemp(prefix="cnnaudit-"))
        write_whole({folder / path.name: content for path, content in files.items()})
    except OSError as error:
        return f"nor can a copy be kept in the temporary folder ({reason(error)})"
    return f"the finished files are in {folder}"
