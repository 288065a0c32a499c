"""Types of command-line arguments, with their bounds: a wrong value is refused before any work is done."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

LARGEST = 2**31 - 1


def at_least(low: int) -> Callable[[str], int]:
    """The type of whole numbers of at least `low`.

    Example:
        >>> at_least(2)("12")
        12
    """

    def number(text: str) -> int:
        value = _whole(text)
        if value is None or value < low:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {_short(text)}")
        return value

    return number


positive_int = at_least(1)
seed = at_least(0)


def jobs(text: str) -> int:
    """Processes: 1 or more, or -1 for one per core.

    Example:
        >>> jobs("-1")
        -1
    """
    value = _whole(text)
    if value is None or (value < 1 and value != -1):
        raise argparse.ArgumentTypeError(f"expected 1 or more processes, or -1 for one per core, got {_short(text)}")
    return value


def positive_float(text: str) -> float:
    """A finite number above 0.

    Example:
        >>> positive_float("2.5")
        2.5
    """
    value = _real(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {_short(text)}")
    return value


def part(text: str) -> float:
    """A number of at least 0 and below 1.

    Example:
        >>> part("0.1")
        0.1
    """
    value = _real(text)
    if value is None or not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0 and below 1, got {_short(text)}")
    return value


def accuracy(text: str) -> float:
    """A share above 0 and at most 1.

    Example:
        >>> accuracy("0.95")
        0.95
    """
    value = _real(text)
    if value is None or not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, such as 0.95, got {_short(text)}")
    return value


def file(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not _is(path, Path.is_file):
        raise argparse.ArgumentTypeError(f"there is no such file: {_short(text)}")
    return path


def image(text: str) -> str:
    """An image file that is there, or the place of an image in the target's data, such as `validation[17]`.

    Example:
        >>> image("validation[17]")
        'validation[17]'
    """
    if re.fullmatch(r"(train|validation)\[[0-9]{1,9}\]", text) is None and not _is(Path(text), Path.is_file):
        raise argparse.ArgumentTypeError(
            f"expected an image file, or validation[0] for one of the target's own images, got {_short(text)}"
        )
    return text


def output_file(text: str) -> Path:
    """A file that can be written: no folder stands in its place, and its own folder can be had."""
    path = Path(text)
    if not text or _is(path, Path.is_dir):
        raise argparse.ArgumentTypeError(f"expected the name of a file, got the folder {_short(text)}")
    folder(str(path.parent))
    return path


def folder(text: str) -> Path:
    """A folder that can be written to; it need not exist yet.

    Example:
        >>> folder("reports").name
        'reports'
    """
    path = Path(text)
    try:
        there = next(place for place in (path, *path.parents, Path()) if place.exists())
        usable = there.is_dir()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"not a usable folder: {_short(text)} ({reason(error)})") from None
    if not usable:
        raise argparse.ArgumentTypeError(f"expected a folder, but {_short(str(there))} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"the folder {_short(str(there))} cannot be written to; name another")
    return path


def reason(error: BaseException) -> str:
    """The system's words for what went wrong with a file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is(path: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(path)
    except (OSError, ValueError):  # a name that is too long, or a loop of links
        return False


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) and abs(int(text)) <= LARGEST else None


def _real(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _short(text: str) -> str:
    """The text in quotes, without control characters, cut where it is long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
