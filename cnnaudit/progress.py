"""Progress bars on a terminal; silence everywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_stream: TextIO | None = None


def draw_to(stream: TextIO | None) -> None:
    """Send progress bars to that stream (the pytest plugin gives its own terminal); None: standard error."""
    global _stream
    _stream = stream


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar and the time left while standard error (or `draw_to`'s stream) is a terminal.

    Example:
        >>> list(progress([1, 2, 3], "counting"))
        [1, 2, 3]
    """
    import sys

    stream = _stream or sys.stderr
    if not stream.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description, total=total, console=Console(file=stream), transient=True)
