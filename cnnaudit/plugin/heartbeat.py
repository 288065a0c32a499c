"""A line every ten seconds that names the running checks and the time left, for the log of a CI run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SECONDS = 10.0


class Heartbeat:
    """Counts the tests of a run, also those of other processes, and says from a thread how far they are.

    `total` is how many tests there are.

    Args:
        write: takes each line.
        seconds: between two lines.
    """

    def __init__(self, write: Callable[[str], None], seconds: float = SECONDS) -> None:
        self.write, self.seconds = write, seconds
        self.total = self.done = 0
        self.start = time.monotonic()
        self._running: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def begin(self) -> None:
        """Write lines from now on."""
        self.start = time.monotonic()
        self._thread.start()

    def started(self, test: str) -> None:
        """A test has begun."""
        self._running[test] = time.monotonic()

    def finished(self, test: str) -> None:
        """A test is over."""
        self.done += 1
        self._running.pop(test, None)

    def stop(self) -> None:
        """Write no more lines."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def line(self, now: float) -> str:
        """Such as `12 of 45 checks after 60 s, about 165 s left; running: digits-lenet-dataset.leakage (4 s)`."""
        elapsed = now - self.start
        left = f", about {elapsed / self.done * (self.total - self.done):.0f} s left" if self.done else ""
        names = [f"{_name(test)} ({now - since:.0f} s)" for test, since in list(self._running.items())]
        running = f"; running: {', '.join(names)}" if names else ""
        return f"{self.done} of {self.total} checks after {elapsed:.0f} s{left}{running}"

    def _speak(self) -> None:
        while not self._over.wait(self.seconds):
            self.write(self.line(time.monotonic()))


def _name(test: str) -> str:
    """What stands in the brackets of a test's id: the target and the check."""
    return test.partition("[")[2].removesuffix("]") or test
