"""Metadata columns from a CSV file."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.target.metadata import read_metadata

NAMES = ("cat/0.png", "cat/1.png", "dog/0.png", "dog/2.png")


def _read(tmp_path: Path, text: str | bytes, names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    path = tmp_path / "metadata.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    root = tmp_path / "data" / "train"
    return dict(read_metadata(path, [root / name for name in names], root, tmp_path))


def test_columns_follow_the_files_and_other_rows_are_left_out(tmp_path: Path) -> None:
    rows = ["dog/2.png,b,3", "cat/0.png,a,4", "cat/1.png,a,5", "dog/0.png,b,6", "cow/9.png,c,7", ""]
    columns = _read(tmp_path, "file,site,age\n" + "\n".join(rows))
    assert columns["site"].tolist() == ["a", "a", "b", "b"]
    assert columns["age"].tolist() == [4, 5, 6, 3]
    assert columns["age"].dtype == np.int64


@pytest.mark.parametrize(
    "paths",
    [
        ["data/train/cat/0.png", "data/train/cat/1.png", "data/train/dog/0.png", "data/train/dog/2.png"],
        ["cat/0.png", "./cat/1.png", "dog\\0.png", "data/train/dog/2.png"],
        ["cat/0.png", "1.png", "dog/0.png", "2.png"],
    ],
    ids=["of the audit file", "of the folder", "bare where unique"],
)
def test_paths_are_relative_to_the_audit_file_the_folder_or_bare(tmp_path: Path, paths: list[str]) -> None:
    columns = _read(tmp_path, "file,k\n" + "".join(f"{path},{k}\n" for k, path in enumerate(paths)))
    assert columns["k"].tolist() == [0, 1, 2, 3]


def test_a_bare_name_that_stands_for_two_images_is_no_match(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 have none, the first is data/train/cat/0\.png"):
        _read(tmp_path, "file,k\n0.png,1\ncat/1.png,1\ndog/2.png,1\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_the_mark_of_spreadsheets(tmp_path: Path, delimiter: str) -> None:
    rows = [["file", "site"], *([name, f'"left{delimiter} {k}"'] for k, name in enumerate(NAMES))]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    assert _read(tmp_path, text)["site"].tolist() == [f"left{delimiter} {k}" for k in range(4)]


def test_numbers_and_gaps(tmp_path: Path) -> None:
    text = "file,dose,mixed\n" + "".join(
        f"{n},{d},{m}\n" for n, d, m in zip(NAMES, ("1.5", "", "2", "3e1"), ["1", "2", "", "x"])
    )
    columns = _read(tmp_path, text)
    np.testing.assert_array_equal(columns["dose"], [1.5, np.nan, 2, 30])
    assert columns["mixed"].tolist() == ["1", "2", "", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a first line 'file' and the names of other columns, each once, got \[\]"),
        ("file\ncat/0.png\n", r"got \['file'\]"),
        ("image,site\n", r"got \['image', 'site'\]"),
        ("file,site,site\n", r"each once"),
        ("file,site\ncat/0.png,a\ncat/0.png,b\n", r"row 3: cat/0\.png is listed twice"),
        ("file,site\ncat/0.png\n", r"row 2: expected 2 values, got 1"),
        ("file,site\ncat/0.png,a\n", r"expected a row for each of 4 images in data/train, 3 have none"),
        (b"file,site\n\xff\xfe,a\n", r"cannot be read as CSV in UTF-8"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"^metadata\.csv.*{message}"):
        _read(tmp_path, text)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metadata\.csv: the metadata cannot be read"):
        read_metadata(tmp_path / "metadata.csv", [], tmp_path, tmp_path)


@pytest.mark.parametrize(
    "column",
    [
        ["1_0", "10", "2_5", "3"],
        ["001", "1", "010", "2"],
        ["٣", "3", "4", "5"],
        ["99999999999999999999", "1", "2", "3"],
        ["9007199254740993", "9007199254740992", "", "1"],
        ["1e400", "1", "2", "3"],
        ["inf", "1", "2", "3"],
        ["1e300", "1", "2", "3"],
        ["0x10", "16", "1", "2"],
    ],
    ids=lambda column: column[0],
)
def test_codes_and_what_no_float_holds_stay_text(tmp_path: Path, column: list[str]) -> None:
    rows = "".join(f"{name},{value},{k}.5\n" for k, (name, value) in enumerate(zip(NAMES, column)))
    columns = _read(tmp_path, "file,code,dose\n" + rows)
    assert columns["code"].tolist() == column
    assert columns["dose"].tolist() == [0.5, 1.5, 2.5, 3.5]


def test_numbers_in_every_notation(tmp_path: Path) -> None:
    rows = "".join(f"{name},{value}\n" for name, value in zip(NAMES, ("-.5", "+2.", "1E-3", "0")))
    assert _read(tmp_path, "file,x\n" + rows)["x"].tolist() == [-0.5, 2, 0.001, 0]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_found_in_either_unicode_form(tmp_path: Path, forms: tuple[str, str]) -> None:
    on_disk, in_file = (unicodedata.normalize(form, "café.png") for form in forms)
    columns = _read(tmp_path, f"file,site\ncat/{in_file},Orléans\n", (f"cat/{on_disk}",))
    assert columns["site"].tolist() == ["Orléans"]


def test_two_files_that_only_their_unicode_form_tells_apart_are_refused(tmp_path: Path) -> None:
    names = tuple("cat/" + unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    with pytest.raises(DataError, match=r"two image files are called data/train/cat/café\.png"):
        _read(tmp_path, "file,site\ncat/café.png,a\n", names)


def test_nul_and_a_pipe_are_no_metadata(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NUL"):
        _read(tmp_path, "file,site\ncat/0.png,a\0b\n")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv: the metadata cannot be read"):
        read_metadata(tmp_path / "pipe.csv", [], tmp_path, tmp_path)
