"""The lines that say how far a run is: what they say, and that a run in a log writes them."""

import threading

import pytest

from cnnaudit.plugin.heartbeat import Heartbeat


def test_a_line_names_what_runs_and_how_long_the_rest_will_take():
    beat = Heartbeat(print)
    beat.start, beat.total = 100.0, 5
    assert beat.line(110.0) == "0 of 5 checks after 10 s"
    beat.started("suites/test_dataset.py::test_dataset[lenet-dataset.leakage]")
    beat._running = dict.fromkeys(beat._running, 105.0)
    assert beat.line(110.0) == "0 of 5 checks after 10 s; running: lenet-dataset.leakage (5 s)"
    beat.finished("suites/test_dataset.py::test_dataset[lenet-dataset.leakage]")
    assert beat.line(120.0) == "1 of 5 checks after 20 s, about 80 s left"


def test_lines_are_written_until_the_end_and_no_longer():
    written, twice = [], threading.Event()

    def write(line):
        written.append(line)
        if len(written) == 2:
            twice.set()

    beat = Heartbeat(write, seconds=0.001)
    beat.begin()
    assert twice.wait(10)
    beat.stop()
    many = len(written)
    assert not beat._thread.is_alive() and len(written) == many and written[0].startswith("0 of 0 checks")


def test_a_heartbeat_that_never_began_can_be_stopped():
    beat = Heartbeat(pytest.fail)
    beat.stop()
    assert not beat._thread.is_alive()
