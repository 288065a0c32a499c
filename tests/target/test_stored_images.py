"""Arrays, deep images, DICOM and TIFF of many channels as files: their pixels, and what is refused."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnaudit.core.errors import DataError
from cnnaudit.target import InputSpec
from cnnaudit.target.array_files import read_npy, read_npz
from cnnaudit.target.files import FileSplit
from cnnaudit.target.folders import FolderSplit
from cnnaudit.target.preparation import header, load
from cnnaudit.target.splits import warn_of_black

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOR = np.stack([RAMP, RAMP // 2, 255 - RAMP], axis=2)


def spec(channels: int = 3, **settings) -> InputSpec:
    return InputSpec(channels=channels, size=(8, 8), **settings)


@pytest.mark.parametrize("form", ["last", "first", "npz", "named"])
def test_bytes_in_arrays_are_the_pixels_of_a_png(tmp_path: Path, form: str) -> None:
    Image.fromarray(COLOR).save(tmp_path / "image.png")
    file = tmp_path / ("image.npy" if form in ("last", "first") else "image.npz")
    if form == "named":
        np.savez(file, image=COLOR, mask=RAMP)
    elif form == "npz":
        np.savez_compressed(file, COLOR)
    else:
        np.save(file, COLOR if form == "last" else COLOR.transpose(2, 0, 1))
    wanted = InputSpec(channels=3, size=(6, 6), resize=7)
    assert np.array_equal(load(file, wanted, "image"), load(tmp_path / "image.png", wanted, "image"))
    assert header(file, "image")["width"] == 8


def test_five_channels_come_from_arrays_and_tiff(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (8, 8, 5), dtype=np.uint16)
    np.save(tmp_path / "a.npy", pixels)
    tifffile.imwrite(tmp_path / "b.tif", pixels.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "c.tif", pixels, photometric="minisblack", planarconfig="contig")
    expected = pixels.transpose(2, 0, 1) / np.float32(65535)
    for name in ("a.npy", "b.tif", "c.tif"):
        np.testing.assert_allclose(load(tmp_path / name, spec(5), name), expected, atol=1e-6)
    with pytest.raises(DataError, match=r"a\.npy: expected one image of 3 channels as input\.channels says"):
        load(tmp_path / "a.npy", spec(3), "a.npy")
    Image.fromarray(COLOR).save(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"d\.png: a picture has 1 or 3 channels, input\.channels = 5"):
        load(tmp_path / "d.png", spec(5), "d.png")


def _deep(folder: Path, top: int, count: int = 3) -> list[Path]:
    files = []
    for k in range(count):
        pixels = np.full((8, 8), top * (k + 1) // count, dtype=np.uint16)
        files.append(folder / f"{k}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


def _split(files: list[Path], white: float | str | None) -> FileSplit:
    return FileSplit("train", files, np.zeros(len(files), dtype=np.int64), spec(1, white=white), {}, files[0].parent)


def test_twelve_bits_in_sixteen_are_nearly_black_and_auto_finds_their_white(tmp_path: Path) -> None:
    files = _deep(tmp_path, 4000)
    with pytest.warns(UserWarning, match=r"data\.train: the images are nearly black.*data\.scale = 'auto'"):
        warn_of_black({"train": _split(files, None)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_black({"train": _split(files, "auto")})
    every = np.arange(3)
    tops = [float(image.max()) for image in _split(files, "auto").read(every)]
    np.testing.assert_allclose(tops, [1333 / 4095, 2666 / 4095, 4000 / 4095], rtol=1e-5)
    assert [float(image.max()) for image in _split(files, "file").read(every)] == [1, 1, 1]
    np.testing.assert_allclose(float(_split(files, 8000.0).read(every).max()), 0.5, rtol=1e-5)
    with pytest.raises(DataError, match=r"expected pixels in 0\.\.1000, got .*data\.scale"):
        _split(files, 1000.0).read(every)


def test_auto_leaves_bytes_alone(tmp_path: Path) -> None:
    Image.fromarray(RAMP // 8).save(tmp_path / "a.png")
    assert _split([tmp_path / "a.png"], "auto").white is None
    assert float(_split([tmp_path / "a.png"], "auto").read(np.array([0])).max()) == pytest.approx(31 / 255)


class Trap:
    def __reduce__(self):
        return (print, ("pickle ran",))


def _npz(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_pickles_and_false_lengths_are_refused_before_anything_is_read(tmp_path: Path, capsys) -> None:
    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "trap.npz", images=np.array([Trap()], dtype=object))
    for file, reader in ((tmp_path / "trap.npy", read_npy), (tmp_path / "trap.npz", read_npz)):
        with pytest.raises(DataError, match=r"trap\.np.: the array holds Python objects"):
            reader(file)
    assert "pickle ran" not in capsys.readouterr().out
    whole = _npy(np.zeros((64, 64), dtype=np.uint8))
    huge = whole.replace(b"(64, 64)", b"(99999999999, 64)").replace(b" " * 9 + b"\n", b"\n")
    (tmp_path / "huge.npy").write_bytes(huge)
    (tmp_path / "short.npy").write_bytes(whole[:-1])
    (tmp_path / "none.npy").write_bytes(b"\x93NUMPY\x01\x00")
    for name in ("huge.npy", "short.npy", "none.npy"):
        with pytest.raises(DataError, match=rf"^{name}: "):
            read_npy(tmp_path / name)
    for members in ({"a.npy": huge}, {"a.txt": whole}, {"bomb.npy": _npy(np.zeros(2**24, dtype=np.uint8))}):
        with pytest.raises(DataError, match=r"^x\.npz: "):
            read_npz(_npz(tmp_path / "x.npz", members))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((8, 8), dtype=complex), "whole numbers or floats, got complex128"),
        (np.full((8, 8), -1, dtype=np.int16), r"expected pixels in 0\.\.65535, got -1"),
        (np.full((8, 8), np.nan), r"expected pixels in 0\.\.1, got nan"),
        (np.full((8, 8), 2.0), r"expected pixels in 0\.\.1, got 2"),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), r"expected an image \(H, W\)"),
        (np.zeros((0, 8), dtype=np.uint8), r"expected an image \(H, W\)"),
    ],
)
def test_an_array_that_is_no_image_is_refused_by_its_name(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=rf"^dir/a\.npy: .*{message}"):
        load(tmp_path / "a.npy", spec(3), "dir/a.npy")


def test_a_broken_tiff_of_many_channels_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((8, 8, 5), dtype=np.uint8), photometric="minisblack", planarconfig="contig"
    )
    whole = (tmp_path / "a.tif").read_bytes()
    for data in (whole[:40], whole[:-100], b"II*\0" + b"\xff" * 40, b""):
        (tmp_path / "b.tif").write_bytes(data)
        with pytest.raises(DataError, match=r"^b\.tif: "):
            load(tmp_path / "b.tif", spec(5), "b.tif")


def dicom(path: Path, pixels: np.ndarray, bits: int = 12, **tags) -> Path:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, bits, bits - 1, 0
    data.PixelData = pixels.astype(np.uint16).tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    pydicom.dcmwrite(path, data)
    return path


def test_dicom_is_scaled_by_its_bits_and_inverted_where_white_is_zero(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    plain = load(dicom(tmp_path / "a.dcm", pixels), spec(1), "a.dcm")
    np.testing.assert_allclose(plain[0], pixels / 4095, atol=1e-6)
    inverted = load(dicom(tmp_path / "b", pixels, PhotometricInterpretation="MONOCHROME1"), spec(1), "b")
    np.testing.assert_allclose(inverted[0], 1 - pixels / 4095, atol=1e-6)
    assert header(tmp_path / "b", "b")["format"] == "DICOM"
    root = tmp_path / "split"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        dicom(root / name / "scan", pixels)
    assert FolderSplit(root, ("cat", "dog"), spec(1)).read(np.arange(2)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PixelRepresentation": 1}, "its pixels are signed"),
        ({"NumberOfFrames": 4}, "expected one frame, got 4"),
        ({"Rows": 60000, "Columns": 60000}, "expected an image"),
        ({"Rows": 9}, "cannot be read as DICOM"),
        ({"syntax": "1.2.840.10008.1.2.1.99"}, "transfer syntax"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "expected gray or RGB"),
    ],
)
def test_a_dicom_that_could_be_read_wrongly_is_refused(tmp_path: Path, tags: dict, message: str) -> None:
    dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint16), **tags)
    with pytest.raises(DataError, match=rf"^a\.dcm: .*{message}"):
        load(tmp_path / "a.dcm", spec(1), "a.dcm")
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:300])
    with pytest.raises(DataError, match=r"^b\.dcm: "):
        load(tmp_path / "b.dcm", spec(1), "b.dcm")
