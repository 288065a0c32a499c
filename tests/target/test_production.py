"""The production split of an audit file."""

import numpy as np
import pytest
from PIL import Image

from cnnaudit.core.errors import DataError
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.data_sources import as_split

CLASSES, SPEC = ("a", "b"), InputSpec(channels=1, size=(8, 8))


def write(path, *names):
    for k, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(path / name)
    return path


def production(value):
    return as_split("production", value, CLASSES, SPEC)


def test_a_folder_per_class_has_labels_and_may_lack_a_class(tmp_path):
    assert production(write(tmp_path / "x", "a/1.png", "b/2.png", "b/3.png")).labels.tolist() == [0, 1, 1]
    assert production(write(tmp_path / "y", "b/2.png")).labels.tolist() == [1]
    (tmp_path / "y" / "notes.txt").write_text("hello")
    assert production(tmp_path / "y").labels.tolist() == [1]


def test_a_flat_folder_and_other_folders_have_no_labels(tmp_path):
    split = production(write(tmp_path / "x", "1.png", "2026-01/2.png"))
    assert split.labels.tolist() == [-1, -1]
    assert split.read(np.arange(2)).shape == (2, 1, 8, 8)
    assert split.name(1) == "x/2026-01/2.png"
    assert len(split.properties(np.arange(2))["width"]) == 2


@pytest.mark.parametrize("beside", ["1.png", "c/1.png"])
def test_classes_beside_something_else_are_refused_with_the_key(tmp_path, beside):
    with pytest.raises(DataError, match=r"data\.production.*'a'.*no class"):
        production(write(tmp_path / "x", "a/1.png", beside))


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "x" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="no image"):
        production(tmp_path / "x")
    (tmp_path / "y").mkdir()
    with pytest.raises(DataError, match=r"no image.*data\.production"):
        production(tmp_path / "y")


def test_arrays_without_labels_are_taken_for_production_only():
    images = np.zeros((3, 1, 8, 8), np.float32)
    assert production((images, None)).labels.tolist() == [-1, -1, -1]
    assert production((images, np.array([0, 1, 1]))).labels.tolist() == [0, 1, 1]
    with pytest.raises(DataError, match=r"data\.validation.*no labels.*data\.production"):
        as_split("validation", (images, None), CLASSES, SPEC)
    with pytest.raises(DataError, match=r"data\.train"):
        AuditTarget.from_arrays("x", None, {"train": (images, None)}, CLASSES)
