"""Files appear together or not at all."""

import os

import pytest

from cnnaudit.core.files import write_whole


def test_nothing_is_replaced_where_one_file_cannot_be_written(tmp_path):
    old, new = tmp_path / "old.txt", tmp_path / "folder" / "new.txt"
    old.write_text("before")
    (tmp_path / "folder").write_text("a file where a folder is wanted")
    with pytest.raises(OSError):
        write_whole({old: "after", new: "x"})
    assert old.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["folder", "old.txt"]


def test_folders_are_made(tmp_path):
    write_whole({tmp_path / "a" / "b.txt": "ä"})
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "ä"
