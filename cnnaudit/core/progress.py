"""Progress bars on a terminal and in a notebook; elsewhere a line now and then where a command asks for it."""

from __future__ import annotations

import contextlib
import importlib.util
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

T = TypeVar("T")

_stream: TextIO | None = None
_below = False
_seconds: float | None = None  # between two lines where there is no terminal; None: no lines
_drawn = contextlib.ExitStack()  # what removes the bar that is on the screen now
_drawing = False


def draw_to(stream: TextIO | None, below: bool = False) -> None:
    """Send progress bars to that stream (the pytest plugin gives its own terminal); None: standard error.

    With `below`, bars are drawn under the line that the cursor stands in, and the cursor comes back to its place.
    """
    global _stream, _below
    _stream, _below = stream, below


@contextlib.contextmanager
def lines(seconds: float) -> Iterator[None]:
    """Inside, where output is no terminal, such as in the log of a CI run, loops write a line every so many seconds."""
    global _seconds
    before, _seconds = _seconds, seconds
    try:
        yield
    finally:
        _seconds = before


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar and the time left on a terminal (standard error, or `draw_to`'s) or in a notebook.

    One loop is shown at a time: a loop inside the loop is not.

    Example:
        >>> list(progress([1, 2, 3], "counting"))
        [1, 2, 3]
    """
    import sys

    stream = _stream or sys.stderr
    bars = stream.isatty() or _in_notebook()
    if _drawing or (not bars and _seconds is None):
        yield from items
        return
    try:
        yield from (_draw if bars else _write)(items, description, total, stream)
    finally:
        end()


def _in_notebook() -> bool:
    """Whether rich can draw a bar into the cell that runs: a Jupyter kernel with ipywidgets."""
    import sys

    kernel = sys.modules.get("ipykernel.zmqshell")
    shell = sys.modules["IPython"].get_ipython() if kernel and "IPython" in sys.modules else None
    return shell is not None and importlib.util.find_spec("ipywidgets") is not None


def end() -> None:
    """Remove the bar that is drawn, as after an exception, whose traceback keeps the loop and so its bar alive."""
    global _drawing
    _drawn.close()
    _drawing = False


def line(description: str, done: int, total: int | None, elapsed: float) -> str:
    """How far a loop has come, and how long the rest will take at the same speed.

    Example:
        >>> line("atlas", 3, 12, 20.0)
        'atlas: 3 of 12 in 20 s, about 60 s left'
    """
    if total is None:
        return f"{description}: {done} in {elapsed:.0f} s"
    left = f", about {elapsed / done * (total - done):.0f} s left" if done else ""
    return f"{description}: {done} of {total} in {elapsed:.0f} s{left}"


def _write(items: Iterable[T], description: str, total: int | None, stream: TextIO) -> Iterator[T]:
    """Yield the items; a thread writes the lines, so that a long item is not silent."""
    global _drawing
    _drawing = True
    start, over, done = time.monotonic(), threading.Event(), 0
    if total is None and isinstance(items, Sized):
        total = len(items)
    wait = _seconds

    def speak() -> None:
        while not over.wait(wait):
            with contextlib.suppress(ValueError, OSError):  # the stream has been closed
                print(line(description, done, total, time.monotonic() - start), file=stream, flush=True)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    _drawn.callback(stop)
    for item in items:
        yield item
        done += 1


def _draw(items: Iterable[T], description: str, total: int | None, stream: TextIO) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import Progress

    global _drawing
    _drawing = True
    if _below:
        _drawn.enter_context(_under_the_line(stream))
    # what the items' user prints goes where it went before, not above the bar
    console = Console(file=stream) if stream.isatty() else Console()  # which finds the notebook by itself
    bar = Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
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
