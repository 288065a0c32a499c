"""The bounds of command-line arguments."""

import argparse
import os

import pytest

from cnnaudit.pages import arguments


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "1e3", "", "x", "1_0", "9" * 5000, "٣", "2147483648"])
def test_what_is_no_positive_whole_number_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        arguments.positive_int(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e400", "x", ""])
def test_what_is_no_finite_positive_number_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        arguments.positive_float(text)


@pytest.mark.parametrize("text", ["0", "1.01", "nan", "95"])
def test_an_accuracy_is_a_share(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a share"):
        arguments.accuracy(text)
    assert arguments.accuracy("1") == 1


@pytest.mark.parametrize("text", ["0", "-2", "all"])
def test_processes_are_counted_or_all_cores(text):
    with pytest.raises(argparse.ArgumentTypeError, match="-1 for one per core"):
        arguments.jobs(text)
    assert (arguments.jobs("3"), arguments.jobs("-1")) == (3, -1)


def test_a_message_is_short_and_has_no_control_characters():
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        arguments.positive_int("\x1b[2J" + "9" * 5000)
    assert len(str(refused.value)) < 150 and "\x1b" not in str(refused.value)


def test_files_and_folders_are_asked_before_the_work(tmp_path, monkeypatch):
    here = tmp_path / "a.png"
    here.write_text("")
    assert arguments.file(str(here)) == here and arguments.image(str(here)) == str(here)
    assert arguments.folder(str(tmp_path / "new" / "er")) == tmp_path / "new" / "er"
    assert not (tmp_path / "new").exists()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for text in (str(tmp_path), str(tmp_path / "absent"), str(loop), "a" * 5000, ""):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.file(text)
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.image(text)
    for text in (str(here), str(here / "deeper"), "a" * 5000):
        with pytest.raises(argparse.ArgumentTypeError):
            arguments.folder(text)
    with pytest.raises(argparse.ArgumentTypeError, match="got the folder"):
        arguments.output_file(str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be written to"):
        arguments.folder(str(tmp_path / "new"))
