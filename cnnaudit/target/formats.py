"""The image formats that are read, and which format another file has."""

from __future__ import annotations

import functools
from pathlib import Path

# Pillow decodes each of these inside this process. It also opens EPS, for which it starts Ghostscript: never here.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_OTHERS = {
    (0, b"%PDF"): "PDF",
    (4, b"ftypheic"): "HEIC",
    (4, b"ftypheix"): "HEIC",
    (4, b"ftypmif1"): "HEIF",
    (128, b"DICM"): "DICOM",
    (0, b"<svg"): "SVG",
    (0, b"<?xml"): "XML or SVG",
}


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats of `FORMATS` that this Pillow can decode."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@functools.cache
def suffixes() -> frozenset[str]:
    """The file name endings of those formats and of `cnnaudit.target.stored`, in lower case and with their dot."""
    from PIL import Image

    pictures = {suffix for suffix, name in Image.registered_extensions().items() if name in formats()}
    return frozenset(pictures) | {".npy", ".npz", ".dcm", ".dicom"}


def refused_format(path: Path) -> str:
    """The format that the first bytes of a file announce, where it is none that is read; empty where none is known.

    Only the signature is looked at: nothing is decoded.
    """
    from PIL import Image

    try:
        with path.open("rb") as stream:
            prefix = stream.read(132)
    except (OSError, ValueError):
        return ""
    for (start, signature), name in _OTHERS.items():
        if prefix[start : start + len(signature)] == signature:
            return name
    for name, (_, accepts) in Image.OPEN.items():
        try:
            if name not in FORMATS and accepts is not None and accepts(prefix) is True:
                return name
        except Exception:  # a signature that is cut short: struct.error, IndexError …
            continue
    return ""
