"""Progress bars: only on a terminal, one at a time, and gone afterwards."""

import io
import sys
import threading
import types

import pytest

from cnnaudit.core.progress import _in_notebook, draw_to, end, line, lines, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    draw_to(stream, below=True)
    yield stream
    end()
    draw_to(None)


ROOM, BACK = "\x1bD\x1bD\x1b[2A\x1b7", "\x1b8"


def test_items_pass_unchanged_and_silently_where_there_is_no_terminal(capsys):
    assert list(progress(iter([1, 2, 3]), "counting")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_under_the_line_and_the_cursor_comes_back(terminal):
    assert list(progress([1, 2, 3], "counting")) == [1, 2, 3]
    drawn = terminal.getvalue()
    assert drawn.startswith(ROOM) and drawn.endswith(BACK)
    assert "counting" in drawn and "100%" in drawn


def test_a_loop_inside_the_loop_has_no_bar(terminal):
    assert [list(progress([3, 4], "inner")) for _ in progress([1, 2], "outer")] == [[3, 4], [3, 4]]
    assert "outer" in terminal.getvalue() and "inner" not in terminal.getvalue()
    assert terminal.getvalue().count(BACK) == 1


def test_what_the_loop_prints_goes_where_it_went_before(terminal):
    before = sys.stdout, sys.stderr
    for _ in progress([1], "counting"):
        assert (sys.stdout, sys.stderr) == before


def test_a_bar_left_by_an_exception_can_be_removed(terminal):
    with pytest.raises(ZeroDivisionError) as kept:
        for _ in progress([1, 2], "counting"):
            raise ZeroDivisionError
    end()
    assert terminal.getvalue().endswith(BACK)
    del kept
    assert list(progress([1], "again")) == [1]
    assert "again" in terminal.getvalue()


class Log(io.StringIO):
    """No terminal; tells when something has been written."""

    def __init__(self):
        super().__init__()
        self.spoken = threading.Event()

    def write(self, text):
        written = super().write(text)
        self.spoken.set()
        return written


def test_a_log_gets_a_line_while_a_long_item_runs():
    stream = Log()
    draw_to(stream)
    try:
        with lines(0.001):
            for item in progress(["long", "short"], "work"):
                if item == "long":
                    assert stream.spoken.wait(30)
    finally:
        draw_to(None)
    assert stream.getvalue().startswith("work: 0 of 2 in 0 s\n")
    assert not [thread for thread in threading.enumerate() if "speak" in thread.name]


def test_a_line_tells_the_time_left_at_the_same_speed():
    assert line("work", 0, 4, 5.0) == "work: 0 of 4 in 5 s"
    assert line("work", 1, 4, 5.0) == "work: 1 of 4 in 5 s, about 15 s left"
    assert line("work", 7, None, 5.0) == "work: 7 in 5 s"


def test_lines_end_with_the_command_that_asked_for_them(capsys):
    with lines(0.001):
        pass
    assert list(progress([1], "counting")) == [1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("shell", "widgets", "drawn"), [(object(), object(), True), (None, 1, False), (1, None, False)]
)
def test_a_notebook_is_drawn_into_where_it_can_be(monkeypatch, shell, widgets, drawn):
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: widgets)
    assert _in_notebook() is drawn


def test_a_program_is_no_notebook():
    assert not _in_notebook()
