"""A table of labels beside a flat folder: what it is understood as, and each way in which it can be wrong."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cnnaudit.checks.audit_file import load_target, read
from cnnaudit.core.errors import AuditError, ConfigError
from cnnaudit.scaffold import scaffold

NET = """
import torch
def build(outputs=2):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, outputs))
"""
HEAD = "[model]\nname = 'net'\nsource = 'labelled_net:build'\n[input]\nsize = 8\n[data]\n"
ROWS = [
    ("a.png", "cat", "train", "x"),
    ("b.png", "dog", "train", "y"),
    ("c.png", "dog", "val", "x"),
    ("d.png", "cat", "val", "y"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "labelled_net.py").write_text(NET)
    (tmp_path / "images").mkdir()
    for k, (name, *_) in enumerate(ROWS):
        Image.new("RGB", (8, 8), (60 * k + 40,) * 3).save(tmp_path / "images" / name)
    return tmp_path


def write(folder: Path, text: str, more: str = "", splits: str = "") -> Path:
    (folder / "labels.csv").write_text(text)
    file = folder / "audit.toml"
    file.write_text(HEAD + (splits or "train = 'images'\nvalidation = 'images'\n") + f"labels = 'labels.csv'\n{more}")
    return file


def table(rows=ROWS, header="file,label,split,site") -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def test_a_flat_folder_with_a_table_becomes_two_splits(folder: Path) -> None:
    target = load_target(write(folder, table()))
    assert target.classes == ("cat", "dog")
    assert target.split("train").labels.tolist() == [0, 1]
    assert target.split("validation").labels.tolist() == [1, 0]
    assert target.split("validation").name(0) == "images/c.png"
    assert target.split("train").metadata["site"].tolist() == ["x", "y"]
    pixels = target.split("validation").read(np.array([1, 0]))
    assert pixels[:, 0, 0, 0].mul(255).round().tolist() == [220, 160]


@pytest.mark.parametrize("path", ["{images}/a.png", "images/a.png", "./a.png", "a", "images\\a.png"])
def test_paths_may_be_absolute_relative_to_either_folder_or_lack_their_ending(folder: Path, path: str) -> None:
    first = path.replace("{images}", str(folder / "images"))
    target = load_target(write(folder, table([(first, *ROWS[0][1:]), *ROWS[1:]])))
    assert target.split("train").name(0) == "images/a.png"


def test_columns_may_have_other_names(folder: Path) -> None:
    text = table(header="bild,befund,split,site")
    with pytest.raises(ConfigError, match=r"labels\.csv, line 1: no column for the file"):
        load_target(write(folder, text))
    target = load_target(write(folder, text, "columns = { file = 'bild', label = 'befund' }\n"))
    assert target.split("train").labels.tolist() == [0, 1]


def test_whole_numbers_are_positions_in_the_classes_that_the_file_names(folder: Path) -> None:
    text = table([(name, str(int(label == "cat")), *rest) for name, label, *rest in ROWS])
    assert load_target(write(folder, text, "classes = ['dog', 'cat']\n")).split("train").labels.tolist() == [1, 0]
    assert load_target(write(folder, text)).classes == ("0", "1")


def test_splits_in_folders_of_their_own_share_one_table(folder: Path) -> None:
    (folder / "more").mkdir()
    for name in ("c.png", "d.png"):
        (folder / "images" / name).rename(folder / "more" / name)
    text = table([row[:2] for row in ROWS], "file,label")
    target = load_target(write(folder, text, splits="train = 'images'\nvalidation = 'more'\n"))
    assert (len(target.split("train").labels), target.split("validation").labels.tolist()) == (2, [1, 0])


def test_parquet_is_the_same_table(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    file = write(folder, table())
    pd.read_csv(folder / "labels.csv").to_parquet(folder / "labels.parquet")
    file.write_text(file.read_text().replace("labels.csv", "labels.parquet"))
    assert load_target(file).split("validation").labels.tolist() == [1, 0]
    (folder / "labels.parquet").write_bytes((folder / "labels.parquet").read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"labels\.parquet: the table cannot be read as Parquet"):
        read(file)


BAD = [
    ("file,kind,split\na.png,cat,train\n", r"line 1: no column for the label"),
    (table([*ROWS, ("a.png", "cat", "train", "x")]), r"line 6, column 'file': a\.png stands in line 2 too"),
    (table([*ROWS, ("./a.png", "cat", "val", "x")]), r"line 6.* too, in the splits 'train' and 'val'"),
    (table([("../secret.png", "cat", "train", "x"), *ROWS]), r"line 2, column 'file': \.\./secret\.png lies outside"),
    (table([("z.png", "cat", "train", "x"), *ROWS]), r"line 2, column 'file': no such image, z\.png"),
    (table([("", "cat", "train", "x"), *ROWS]), r"line 2, column 'file': expected a file"),
    (table([("a.png", "cat", "holdout", "x"), *ROWS[1:]]), r"line 2, column 'split': 'holdout' names no split"),
    (table([*ROWS[:2]]), r"no row of its column 'split' belongs to data\.validation"),
    (table([("a.png", "", "train", "x"), *ROWS[1:]]), r"line 2, column 'label': '' is none of data\.classes"),
    (table() + "e.png,cat\n", r"line 6: expected 4 values, got 2"),
    (table(header="file,label,label,site"), r"line 1: expected the names of the columns, each once"),
    (table([row[:2] for row in ROWS], "file,label"), r"no column that tells the splits apart"),
    ("", r"line 1: expected the names of the columns"),
    (
        table([(row[0], "cat", *row[2:]) for row in ROWS]),
        r"names the classes \['cat'\]; expected a list of at least two",
    ),
    (table([("a\x00.png", "cat", "train", "x"), *ROWS]), r"NUL"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_wrong_table_is_refused_with_its_line(folder: Path, text: str, message: str) -> None:
    Image.new("RGB", (8, 8)).save(folder / "secret.png")
    with pytest.raises(AuditError, match=rf"(?s)labels\.csv.*{message}"):
        load_target(write(folder, text))


def test_an_unknown_label_names_the_nearest_class(folder: Path) -> None:
    file = write(folder, table([("a.png", "catt", "train", "x"), *ROWS[1:]]), "classes = ['cat', 'dog']\n")
    with pytest.raises(AuditError, match=r"line 2, column 'label': 'catt' is none of .* did you mean 'cat'\?"):
        load_target(file)


def test_a_link_that_leaves_the_folder_is_outside(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "secret.png")
    (folder / "images" / "link.png").symlink_to(folder / "secret.png")
    with pytest.raises(AuditError, match=r"line 2, column 'file': link\.png lies outside the folder"):
        load_target(write(folder, table([("link.png", "cat", "train", "x"), *ROWS])))


def test_a_table_is_about_files(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.labels: describes image files"):
        load_target(write(folder, table(), splits="train = 'images'\nvalidation = 'labelled_net:build'\n"))


def test_one_label_of_several_is_a_question_of_two_classes(folder: Path) -> None:
    text = table(
        [(name, "01"[k % 2], "1", split) for k, (name, _, split, _) in enumerate(ROWS)], "file,flat,tall,split"
    )
    file = write(folder, text, "columns = { label = 'flat' }\nclasses = ['no', 'flat']\nclass_indices = [3]\n")
    file.write_text(file.read_text().replace("[input]", "arguments = { outputs = 5 }\noutputs = 'binary'\n[input]"))
    target = load_target(file)
    assert target.split("train").labels.tolist() == [0, 1]
    images = target.split("train").read(np.arange(2))
    whole = target.model.network(images)[:, 3]  # type: ignore[operator]
    assert np.allclose(target.logits(images).softmax(1)[:, 1].numpy(), whole.sigmoid().detach().numpy(), atol=1e-6)
    assert target.split("train").metadata["tall"].tolist() == [1, 1]


def test_unreadable_files_are_listed_where_the_file_says_so(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"no image")
    with warnings.catch_warnings(), pytest.raises(AuditError, match=r"images/a\.png: this is no image"):
        warnings.simplefilter("ignore")
        load_target(write(folder, table())).split("train").read(np.arange(2))
    with pytest.warns(UserWarning, match=r"(?s)train: 1 of 2 images cannot be read.*images/a\.png: this is no image"):
        target = load_target(write(folder, table(), "skip_unreadable = true\n"))
    assert target.split("train").labels.tolist() == [1]
    assert target.split("train").metadata["site"].tolist() == ["y"]


def test_init_understands_the_layout_and_says_so(folder: Path) -> None:
    (folder / "labels.csv").write_text(table(header="image,diagnosis,split,site"))
    written = scaffold(
        "labelled_net:build", folder / "audit.toml", train=str(folder / "images"), validation=str(folder / "images")
    )
    assert any("labels.csv" in note and "diagnosis" in note for note in written.notes)
    target = load_target(folder / "audit.toml")
    assert (target.classes, target.split("validation").labels.tolist()) == (("cat", "dog"), [1, 0])


def test_init_refuses_a_flat_folder_without_a_table(folder: Path) -> None:
    with pytest.raises(AuditError, match=r"holds no folders: expected one folder of images per class, or a table"):
        scaffold("labelled_net:build", folder / "audit.toml", validation=str(folder / "images"))
