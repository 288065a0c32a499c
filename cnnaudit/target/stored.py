"""Images stored as arrays of any depth and number of channels: `.npy`, `.npz`, DICOM and TIFF of many channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import listed, one_line

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec

SUFFIXES = (".npy", ".npz", ".dcm", ".dicom")
TIFF = (".tif", ".tiff")
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners have
NAMES = ("image", "img", "pixels", "data", "arr_0")
MOST_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """The pixels of a file as it holds them: (H, W) or with one axis for the channels, and the value of white."""

    pixels: np.ndarray
    white: float
    format: str


def kind_of(path: Path, channels: int = 3) -> str:
    """`npy`, `npz`, `dicom` or `tiff` where a file is read here; empty where it is left to Pillow.

    Args:
        channels: that the model takes: a TIFF of 1 or 3 is left to Pillow.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return suffix[1:]
    if suffix in TIFF:
        return "tiff" if channels not in (1, 3) else ""
    try:
        with path.open("rb") as stream:
            is_dicom = stream.read(132)[128:] == b"DICM"
    except (OSError, ValueError):
        return ""
    return "dicom" if is_dicom or suffix in (".dcm", ".dicom") else ""


def read_stored(path: Path, shown: str, channels: int = 3) -> Stored | None:
    """The pixels of a file of these formats; None where Pillow reads it.

    Raises:
        DataError: the file is broken, needs code to be read, holds no image or too many pixels.
    """
    kind = kind_of(path, channels)
    if not kind:
        return None
    try:
        if kind == "dicom":
            from cnnaudit.target.dicom import read_dicom

            pixels, white = read_dicom(path)
            return Stored(pixels, white, "DICOM")
        pixels = _tiff(path) if kind == "tiff" else _array(path)
        return Stored(pixels, _white(pixels), kind.upper())
    except DataError as error:
        raise DataError(f"{shown}: {error}") from None
    except Exception as error:  # NumPy, zipfile and tifffile each have their own
        raise DataError(f"{shown}: the file is broken ({one_line(error)}). Repair or remove it") from None


def prepare_stored(stored: Stored, spec: InputSpec) -> np.ndarray:
    """The pixels as float32 (C, H, W) in [0, 1], resized and cropped as `preparation.prepare` does.

    Raises:
        DataError: the channels are not those of `spec`, or a pixel is beyond white.
    """
    from PIL import Image

    from cnnaudit.target.preparation import prepare, resized

    pixels = _channels_last(stored.pixels, spec.channels)
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
        return prepare(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), spec)
    scaled = scale(pixels, stored.white, spec)
    planes = [resized(Image.fromarray(np.ascontiguousarray(scaled[..., k])), spec) for k in range(scaled.shape[2])]
    answer = np.clip(np.stack([np.asarray(plane, dtype=np.float32) for plane in planes]), 0, 1)
    return np.repeat(answer, spec.channels // len(answer), axis=0)


def scale(pixels: np.ndarray, white: float, spec: InputSpec) -> np.ndarray:
    """Pixels as float32 in [0, 1]: divided by `spec.white`, else by the white of their type.

    Raises:
        DataError: a pixel is negative, NaN or beyond white.
    """
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if spec.white == "file":
        white = high if high > 0 else 1.0
    elif isinstance(spec.white, float) and pixels.dtype != np.uint8:
        white = spec.white
    if not (low >= 0 and high <= white):  # also catches NaN
        raise DataError(
            f"expected pixels in 0..{white:g}, got {low:g}..{high:g} ({pixels.dtype}). Say in data.scale which "
            "value is "
            "white, or store the image with 8 or 16 bits"
        )
    scaled: np.ndarray = (values / white).astype(np.float32)
    return scaled


def full_scale(files: Sequence[Path]) -> float | None:
    """The full scale, 255 to 65,535, of the fewest usual bits that hold the pixels of those files.

    None where no file has more than 8 bits; a file that cannot be read is passed over.
    """
    highest: float | None = None
    for path in files:
        try:
            top = _deepest(path)
        except DataError:
            continue
        if top is not None:
            highest = top if highest is None else max(highest, top)
    if highest is None:
        return None
    return next((2.0**bits - 1 for bits in DEPTHS if highest <= 2**bits - 1), 65_535.0)


def _deepest(path: Path) -> float | None:
    """The largest value of an image of whole numbers with more than 8 bits; None for others."""
    from cnnaudit.target.preparation import opened

    stored = read_stored(path, path.name)
    if stored is not None:
        return float(stored.pixels.max()) if stored.pixels.dtype.kind in "iu" and stored.white > 255 else None
    with opened(path, path.name) as image:
        if not image.mode.startswith("I"):
            return None
        try:
            return float(np.asarray(image).max())
        except Exception as error:
            raise DataError(one_line(error)) from None


def _white(pixels: np.ndarray) -> float:
    """The value of white of a type of numbers."""
    if pixels.dtype.kind == "f":
        return 1.0
    if pixels.dtype.kind not in "iu":
        raise DataError(
            f"expected pixels of whole numbers or floats, got {pixels.dtype}. Store them as uint8 or uint16"
        )
    return 255.0 if pixels.dtype.itemsize == 1 else 65_535.0


def _channels_last(pixels: np.ndarray, channels: int) -> np.ndarray:
    """The pixels as (H, W, C) with C the model's channels, or 1."""
    if pixels.ndim == 2:
        return pixels[..., None] if channels in (1, 3) else _refused(pixels, channels)
    if pixels.ndim == 3 and pixels.shape[2] in (1, channels):
        return pixels if pixels.shape[2] == channels or channels == 3 else _refused(pixels, channels)
    if pixels.ndim == 3 and pixels.shape[0] in (1, channels):
        return np.moveaxis(pixels, 0, 2) if pixels.shape[0] == channels or channels == 3 else _refused(pixels, channels)
    return _refused(pixels, channels)


def _refused(pixels: np.ndarray, channels: int) -> np.ndarray:
    raise DataError(
        f"expected one image of {channels} channels as input.channels says, (H, W, {channels}) or ({channels}, H, W), "
        f"got shape {pixels.shape}"
    )


def check_size(shape: Sequence[int]) -> None:
    """Refuse an image with more values than Pillow's limit for untrusted images, or with none.

    Raises:
        DataError: it is.
    """
    from PIL import Image

    limit = (Image.MAX_IMAGE_PIXELS or 2**31) * 3
    if not 2 <= len(shape) <= 3 or min(shape) < 1 or math.prod(shape) > limit:
        raise DataError(
            f"expected an image (H, W) or with channels and at most {limit:,} values, got {tuple(shape)[:6]}"
        )


def _array(path: Path) -> np.ndarray:
    """The array of a `.npy` file, or the only one (or the one called `image`) of an `.npz` file."""
    from cnnaudit.target.array_files import read_npy, read_npz

    if path.suffix.lower() == ".npy":
        array = read_npy(path)
    else:
        arrays = read_npz(path)
        name = next((name for name in NAMES if name in arrays), None) or (
            next(iter(arrays)) if len(arrays) == 1 else None
        )
        if name is None:
            raise DataError(f"expected one array, or one called 'image', it holds {listed(arrays, 8)}")
        array = arrays[name]
    check_size(array.shape)
    return np.asarray(array)


def _tiff(path: Path) -> np.ndarray:
    """The first page or series of planes of a TIFF; its size is looked at before its pixels are read."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        check_size(series.shape)
        if series.dtype is None or series.dtype.kind not in "iuf":
            raise DataError(f"expected whole numbers or floats, got {series.dtype}")
        pages = [page.aspage() for page in series.pages if page is not None]
        ends = [start + n for page in pages for start, n in zip(page.dataoffsets, page.databytecounts)]
        if len(pages) < len(series.pages) or any(end > path.stat().st_size for end in ends):
            raise DataError("the file ends before its pixels do. Repair or remove it")
        pixels: np.ndarray = series.asarray(maxworkers=1)
    return pixels
