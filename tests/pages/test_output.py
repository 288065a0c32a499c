"""Finished work outlives a full disk, a file in the way and a folder that cannot be written."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from cnnaudit.core import files
from cnnaudit.pages import output
from cnnaudit.pages.output import OutputError, prepared, resumable, write


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Where copies are kept."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_in_the_way_of_a_page_keeps_the_page_elsewhere(tmp_path, elsewhere):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(
        OutputError, match=r"page.html: cannot be written \(Is a directory\); the finished files are in"
    ) as e:
        write({tmp_path / "page.png": b"picture", tmp_path / "page.html": "page"})
    (kept,) = elsewhere.iterdir()
    assert str(kept) in str(e.value) and (kept / "page.html").read_text() == "page"
    assert (kept / "page.png").read_bytes() == b"picture"


def full_below(place):
    """Writing below that folder finds a full disk."""
    plain = Path.write_bytes

    def write_bytes(self, content):
        if place in self.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(self, content)

    return write_bytes


def test_a_full_disk_keeps_the_page_in_the_temporary_folder_or_says_that_it_cannot(tmp_path, elsewhere, monkeypatch):
    reports = tmp_path / "reports"
    monkeypatch.setattr(Path, "write_bytes", full_below(reports))
    with pytest.raises(OutputError, match=r"page.html: cannot be written \(No space left on device\); the finished"):
        write({reports / "page.html": "page"})
    assert [path.read_text() for path in elsewhere.glob("*/page.html")] == ["page"]
    assert not list(reports.iterdir())
    monkeypatch.setattr(Path, "write_bytes", full_below(tmp_path))
    with pytest.raises(OutputError, match="nor can a copy be kept"):
        write({reports / "page.html": "page"})


def test_a_folder_that_cannot_be_written_names_the_option(tmp_path, monkeypatch):
    assert prepared(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="name another folder with --results"):
        prepared(tmp_path / "file", "--results")

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(output.tempfile, "TemporaryFile", denied)
    with pytest.raises(OutputError, match="Permission denied"):
        prepared(tmp_path)


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(errno.ENOSPC, "full"), "full; 3 parts in work. Free some space; then the same command continues"),
        (OSError(errno.EACCES, "denied", "x"), "x: denied; 3 parts in work. Once this is mended, the same command"),
    ],
)
def test_work_that_is_ended_early_says_what_is_kept(error, said):
    with pytest.raises(OutputError, match=said), resumable(lambda: "3 parts in work"):
        raise error
    interrupted = "interrupted; 3 parts in work. The same command continues from there"
    with pytest.raises(KeyboardInterrupt, match=interrupted), resumable(lambda: "3 parts in work"):
        raise KeyboardInterrupt
    with pytest.raises(OutputError, match=r"^kept$"), resumable(lambda: "3 parts"):
        raise OutputError("kept")


def test_files_are_whole_or_absent(tmp_path):
    assert output.write_whole is files.write_whole
    write({tmp_path / "a": "text", tmp_path / "b": b"bytes"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
