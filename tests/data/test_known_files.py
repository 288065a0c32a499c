"""Readers of MNIST, Fashion-MNIST and CIFAR-10, on files made by hand and on malformed twins of them."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.data import cifar10, fashion_mnist, mnist
from cnnaudit.target.imports import call

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 9], np.uint8)
COLORS = np.random.default_rng(1).integers(0, 256, (5, 3072), dtype=np.uint8)


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, images: bytes, labels: bytes, ending: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("images-idx3", images), ("labels-idx1", labels)):
        packed = gzip.compress(content) if ending else content
        (folder / f"train-{name}-ubyte{ending}").write_bytes(packed)


def python_2_batch(values: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 wrote the published ones (protocol 2, keys and values as byte strings)."""
    raw = values.tobytes()
    text = lambda b: b"U" + bytes([len(b)]) + b  # noqa: E731  # SHORT_BINSTRING
    long = lambda b: b"T" + struct.pack("<I", len(b)) + b  # noqa: E731  # BINSTRING
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
        b"(K\x01" + b"M" + struct.pack("<H", values.shape[0]) + b"M" + struct.pack("<H", values.shape[1]) + b"\x86"
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + long(raw) + b"tb"
    )
    names = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + names + b"u."


def write_batches(folder: Path, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(content)


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_from_idx_files_wherever_they_usually_are(tmp_path: Path, place: str, ending: str) -> None:
    write_idx(tmp_path / place, idx(IMAGES), idx(LABELS), ending)
    found = mnist(tmp_path)
    assert found.images.shape == (4, 1, 28, 28)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(found.images[:, 0], IMAGES)
    assert found.labels.tolist() == [3, 1, 4, 9]
    assert found.classes == tuple("0123456789")


def test_the_test_images_of_an_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "fashion_mnist.npz", x_train=IMAGES[:1], y_train=LABELS[:1], x_test=IMAGES, y_test=LABELS)
    for root in (tmp_path, tmp_path / "fashion_mnist.npz"):
        found = fashion_mnist(root, "test")
        assert np.array_equal(found.images[:, 0], IMAGES)
        assert found.labels.tolist() == [3, 1, 4, 9]
        assert found.classes[9] == "ankle boot"
        assert len(fashion_mnist(root).labels) == 1


def test_an_audit_file_can_name_the_reader(tmp_path: Path) -> None:
    write_idx(tmp_path, idx(IMAGES), idx(LABELS))
    found = call("cnnaudit.data:mnist", {"root": str(tmp_path)}, tmp_path, "data.train")
    assert found.labels.tolist() == [3, 1, 4, 9]


def written_by(protocol: int) -> bytes:
    return pickle.dumps({b"data": COLORS, b"labels": [0, 1, 2, 3, 9]}, protocol)


@pytest.mark.parametrize("place", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize(
    "content",
    [python_2_batch(COLORS, [0, 1, 2, 3, 9]), written_by(2), written_by(4)],
    ids=["Python 2", "protocol 2", "protocol 4"],
)
def test_cifar10_from_batches(tmp_path: Path, place: str, content: bytes) -> None:
    write_batches(tmp_path / place, content)
    found = cifar10(tmp_path)
    assert found.images.shape == (25, 3, 32, 32)
    assert np.array_equal(found.images[:5].reshape(5, 3072), COLORS)
    assert found.labels.tolist() == [0, 1, 2, 3, 9] * 5


def test_the_batch_made_by_hand_is_what_pickle_and_numpy_read() -> None:
    content = pickle.loads(python_2_batch(COLORS, [0, 1, 2, 3, 9]), encoding="bytes")
    assert np.array_equal(content[b"data"], COLORS)
    assert content[b"labels"] == [0, 1, 2, 3, 9]


def test_cifar10_from_an_npz_file_in_parts(tmp_path: Path) -> None:
    last = np.moveaxis(COLORS.reshape(5, 3, 32, 32), 1, 3)
    parts = {"x_train2": last[3:], "y_train2": [[3], [9]], "x_train1": last[:3], "y_train1": [[0], [1], [2]]}
    np.savez(tmp_path / "cifar10.npz", **{key: np.asarray(value) for key, value in parts.items()})
    found = cifar10(tmp_path)
    assert np.array_equal(found.images.reshape(5, 3072), COLORS)
    assert found.labels.tolist() == [0, 1, 2, 3, 9]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"\x89PNG" + idx(IMAGES), idx(LABELS), "expected an idx file .* it starts with 89 50 4e 47"),
        (b"\0\0", idx(LABELS), "expected an idx file"),
        (idx(IMAGES, kind=13), idx(LABELS), "expected unsigned bytes .* got type 0d"),
        (idx(IMAGES)[:9], idx(LABELS), "ends within its header"),
        (idx(IMAGES)[:-1], idx(LABELS), "3136 bytes of values, there are only 3135"),
        (idx(IMAGES) + b"x", idx(LABELS), "3136 bytes of values, there are more"),
        (idx(IMAGES[:, :20]), idx(LABELS), "expected N x 28 x 28 bytes, its header says 4 x 20 x 28"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 28, 28), idx(LABELS), "expected N x 28 x 28 bytes"),
        (idx(IMAGES), idx(LABELS[:3]), r"expected 4 whole labels, got uint8 \(3,\)"),
        (idx(IMAGES), idx(LABELS + 1), r"expected labels in 0\.\.9, got 2\.\.10"),
        (idx(IMAGES), idx(IMAGES), "expected N bytes, its header says 4 x 28 x 28"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_malformed_idx_file_is_named(tmp_path: Path, images: bytes, labels: bytes, message: str, ending: str) -> None:
    write_idx(tmp_path, images, labels, ending)
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}.*-ubyte.*{message}"):
        mnist(tmp_path)


def test_a_compressed_file_cut_short_or_not_compressed(tmp_path: Path) -> None:
    write_idx(tmp_path, idx(IMAGES), idx(LABELS), ".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for content in (path.read_bytes()[:-300], idx(IMAGES)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"images-idx3-ubyte\.gz: the file cannot be read"):
            mnist(tmp_path)


def test_labels_that_are_missing(tmp_path: Path) -> None:
    write_idx(tmp_path, idx(IMAGES), idx(LABELS))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="labels-idx1-ubyte: the file cannot be read"):
        mnist(tmp_path)


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a pickle", "no CIFAR-10 batch for Python"),
        (written_by(2)[:-40], "no CIFAR-10 batch for Python"),
        (pickle.dumps([1, 2]), "expected 'data' of unsigned bytes .* got NoneType"),
        (pickle.dumps({"data": COLORS.astype(np.int16), "labels": [0] * 5}), "got i2"),
        (pickle.dumps({"data": COLORS[:, :100], "labels": [0] * 5}), r"got u1 \(5, 100\)"),
        (pickle.dumps({"data": COLORS, "labels": [0] * 4}), "expected a list of 5 'labels'"),
        (pickle.dumps({"data": COLORS, "labels": [0, 1, 2, 3, 10]}), r"'labels' in 0\.\.9"),
        (pickle.dumps({"data": np.asfortranarray(COLORS), "labels": [0] * 5}), "not stored row by row"),
        (python_2_batch(COLORS, [0] * 5).replace(b"M\x05\x00", b"M\x06\x00"), "says 6 images but holds 15360 bytes"),
        (pickle.dumps({"data": Hostile(), "labels": [0] * 5}), r"the pickle names \w+\.system"),
    ],
)
def test_a_malformed_batch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_batches(tmp_path, content)
    with pytest.raises(DataError, match=message):
        cifar10(tmp_path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_test": IMAGES, "y_test": LABELS}, "expected the arrays x_train and y_train, it holds x_test, y_test"),
        ({"x_train": IMAGES}, "y_train"),
        ({"x_train": IMAGES / 255, "y_train": LABELS}, r"x_train as uint8 \(N, 28, 28\), got float64"),
        ({"x_train": IMAGES[:, :20], "y_train": LABELS}, r"got uint8 \(4, 20, 28\)"),
        ({"x_train": IMAGES, "y_train": LABELS / 2}, "expected 4 whole labels, got float64"),
        ({"x_train": IMAGES, "y_train": np.array([None] * 4)}, "cannot be read"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "expected 0 whole labels"),
    ],
)
def test_a_malformed_npz_file_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "mnist.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'mnist.npz'))}: .*{message}"):
        mnist(tmp_path)


def test_an_npz_file_that_is_none_or_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"PK not")
    with pytest.raises(DataError, match=r"mnist\.npz: the file cannot be read"):
        mnist(tmp_path)
    monkeypatch.setattr("cnnaudit.data.known_files._LARGEST", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x_train.npy", bytes(2**21))
    with pytest.raises(DataError, match="expected arrays of at most"):
        mnist(tmp_path)


def test_nothing_there_and_an_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no CIFAR-10 in .*: expected test_batch or cifar10\.npz"):
        cifar10(tmp_path, "test")
    with pytest.raises(DataError, match="split must be train or test, got 'validation'"):
        mnist(tmp_path, "validation")  # type: ignore[arg-type]
