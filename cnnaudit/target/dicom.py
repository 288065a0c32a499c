"""One-frame DICOM images, by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import one_line

LARGEST_FILE = 500_000_000  # bytes
# Not deflated ones, which unpack without bound.
SYNTAXES = {
    "1.2.840.10008.1.2": "implicit little endian",
    "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.2": "explicit big endian",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE",
}


def read_dicom(path: Path) -> tuple[np.ndarray, float]:
    """The stored pixels, (H, W) or (H, W, 3), and the value of white, 2 ** BitsStored - 1.

    `MONOCHROME1`, in which 0 is white, is inverted. Windows and lookup tables are not applied; nothing about the
    patient is read.

    Raises:
        DataError: pydicom is missing, or the file is broken, compressed in another way, of several frames, or signed.
    """
    try:
        import pydicom
    except ModuleNotFoundError:
        raise DataError("DICOM needs pydicom: pip install 'cnnaudit[dicom]', or convert the images to PNG") from None
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"expected a file of at most {LARGEST_FILE:,} bytes")
        data = pydicom.dcmread(path)
        _check(data)
        pixels = np.asarray(data.pixel_array)
    except DataError:
        raise
    except Exception as error:  # pydicom and its decoders raise many
        raise DataError(f"the file cannot be read as DICOM ({one_line(error)}). Repair or remove it") from None
    white = float(2 ** int(data.BitsStored) - 1)
    if str(data.PhotometricInterpretation) == "MONOCHROME1":
        if int(pixels.max()) > white:
            raise DataError(f"expected stored values of at most {white:g} (BitsStored), got {int(pixels.max())}")
        pixels = (int(white) - pixels.astype(np.int64)).astype(pixels.dtype)
    return pixels, white


def _check(data: Any) -> None:
    """Refuse what is not one unsigned image of a usual size, before its pixels are decoded."""
    from cnnaudit.target.stored import check_size

    syntax = str(data.file_meta.TransferSyntaxUID)
    if syntax not in SYNTAXES:
        raise DataError(
            f"its transfer syntax {syntax[:64]} is none of {', '.join(SYNTAXES.values())}. Convert the file"
        )
    if int(data.get("NumberOfFrames", 1) or 1) != 1:
        raise DataError(f"expected one frame, got {data.NumberOfFrames}. Save each frame as a file of its own")
    if int(data.PixelRepresentation) != 0:
        raise DataError(
            "its pixels are signed (as in CT), and which window makes them gray the file cannot say. Apply the "
            "window of "
            "the training in a 'module:callable', or save the images as PNG"
        )
    samples = int(data.SamplesPerPixel)
    known = {1: ("MONOCHROME1", "MONOCHROME2"), 3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")}
    if str(data.PhotometricInterpretation) not in known.get(samples, ()):
        raise DataError(f"expected gray or RGB, got {samples} samples of {str(data.PhotometricInterpretation)[:40]}")
    if not 1 <= int(data.BitsStored) <= int(data.BitsAllocated) <= 16:
        raise DataError(f"expected at most 16 bits per pixel, got {data.BitsStored} of {data.BitsAllocated}")
    check_size((int(data.Rows), int(data.Columns), samples))
