"""Progress bars on a terminal; silence everywhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_stream: TextIO | None = None
_below = False
_drawn = contextlib.ExitStack()  # what removes the bar that is on the screen now
_drawing = False


def draw_to(stream: TextIO | None, below: bool = False) -> None:
    """Send progress bars to that stream (the pytest plugin gives its own terminal); None: standard error.

    With `below`, bars are drawn under the line that the cursor stands in, and the cursor comes back to its place.
    """
    global _stream, _below
    _stream, _below = stream, below


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar and the time left while standard error (or `draw_to`'s stream) is a terminal.

    One bar is drawn at a time: a loop inside the loop has none.

    Example:
        >>> list(progress([1, 2, 3], "counting"))
        [1, 2, 3]
    """
    import sys

    stream = _stream or sys.stderr
    if _drawing or not stream.isatty():
        yield from items
        return
    try:
        yield from _draw(items, description, total, stream)
    finally:
        end()


def end() -> None:
    """Remove the bar that is drawn, as after an exception, whose traceback keeps the loop and so its bar alive."""
    global _drawing
    _drawn.close()
    _drawing = False


def _draw(items: Iterable[T], description: str, total: int | None, stream: TextIO) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import Progress

    global _drawing
    _drawing = True
    if _below:
        _drawn.enter_context(_under_the_line(stream))
    # what the items' user prints goes where it went before, not above the bar
    bar = Progress(console=Console(file=stream), transient=True, redirect_stdout=False, redirect_stderr=False)
    _drawn.enter_context(bar)
    yield from bar.track(items, total=total, description=description)


@contextlib.contextmanager
def _under_the_line(stream: TextIO) -> Iterator[None]:
    """Make room for two lines, remember the place, go one line down; at the end go back."""
    stream.write("\x1bD\x1bD\x1b[2A\x1b7\r\x1b[1B")
    stream.flush()
    try:
        yield
    finally:
        stream.write("\x1b8")
        stream.flush()
