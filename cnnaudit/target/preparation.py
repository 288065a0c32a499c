"""From an image as it is stored to the pixels in [0, 1] that a model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.names import printable
from cnnaudit.target.formats import formats, refused_format
from cnnaudit.target.stored import Stored, kind_of, prepare_stored, read_stored, scale

_EXIF_ORIENTATION = 0x0112
_EXIF_CAMERA = (0x010F, 0x0110)

if TYPE_CHECKING:
    from PIL import Image

    from cnnaudit.target import InputSpec


def prepare(image: Image.Image, spec: InputSpec) -> np.ndarray:
    """The image as float32 (C, H, W) in [0, 1]: upright, in the wanted channels, resized and cropped.

    In this order: turned upright by its EXIF orientation; transparency laid on white; converted to gray (ITU-R 601
    luma) or RGB; the shorter side resized to `spec.resize`, with antialiasing, and the center cropped to `spec.size`
    (without `resize`: resized straight to `spec.size`); divided by 255. For RGB images these are the pixels of
    torchvision's `Resize`, `CenterCrop` and `ToTensor`. Images of 16 bits per pixel are divided by 65,535 instead, and
    float images are taken as they are. Of an animation, the first frame.

    Raises:
        DataError: pixels of 32 bits are outside the range that can be scaled, the image would have too many pixels
            once its shorter side is resized, or its colors cannot be converted.
    """
    if spec.channels not in (1, 3):
        raise DataError(
            f"a picture has 1 or 3 channels, input.channels = {spec.channels}. Store images of {spec.channels} "
            "channels "
            "as .npy, .npz or TIFF"
        )
    decoded, deep = _decoded(image, spec)
    return _as_array(resized(decoded, spec), spec, deep)


def original(image: Image.Image, spec: InputSpec) -> np.ndarray:
    """The image before it is resized, float32 (C, h, w) in [0, 1]: upright and in the wanted channels."""
    decoded, deep = _decoded(image, spec)
    return _as_array(decoded, spec, deep)


def _decoded(image: Image.Image, spec: InputSpec) -> tuple[Image.Image, bool]:
    """The image upright and in the wanted channels; gray of more than 8 bits as floats, which the second value says."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    deep = image.mode == "F" or image.mode.startswith("I")
    return (Image.fromarray(_deep_gray(image, spec)) if deep else _eight_bit(image, spec.channels)), deep


def _as_array(image: Image.Image, spec: InputSpec, deep: bool) -> np.ndarray:
    """The pixels as float32 (C, H, W) in [0, 1]."""
    pixels = np.asarray(image, dtype=np.float32)
    pixels = np.clip(pixels, 0, 1) if deep else pixels / np.float32(255)  # sharp filters overshoot in float images
    if pixels.ndim == 2:
        return np.repeat(pixels[None], spec.channels, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resized(image: Image.Image, spec: InputSpec) -> Image.Image:
    """The image resized and cropped to `spec.size`.

    Raises:
        DataError: it would have too many pixels once its shorter side is resized.
    """
    from torchvision.transforms import InterpolationMode, functional

    _check_resized(image, spec)
    size = list(spec.size) if spec.resize is None else [spec.resize]
    larger = functional.resize(image, size, interpolation=InterpolationMode(spec.interpolation))
    cropped: Image.Image = functional.center_crop(larger, list(spec.size))
    return cropped


def load(
    path: Path, spec: InputSpec, shown: str, prepared: Callable[[Image.Image, InputSpec], np.ndarray] = prepare
) -> np.ndarray:
    """The prepared pixels of an image file; `shown` is the name for messages, `prepared` may be `original`. Stored
    arrays are not resized, and are the same either way.

    Raises:
        DataError: the file is no image, is broken, cannot be opened or has too many pixels.
    """
    if (stored := read_stored(path, shown, spec.channels)) is not None:
        try:
            return prepare_stored(stored, spec)
        except DataError as error:
            raise DataError(f"{shown}: {error}") from None
    with opened(path, shown) as image:
        try:
            return prepared(image, spec)
        except DataError as error:
            raise DataError(f"{shown}: {error}") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error …
            raise DataError(_broken(shown, error)) from None


def header(path: Path, shown: str, channels: int = 3) -> dict[str, int | str]:
    """What the file says before its pixels are read.

    `file_size` in bytes, `width` and `height` in pixels as displayed, `format`, `mode`, `camera` (EXIF make and model)
    and `quantization`, the sum of JPEG's quantization tables: 0 for other formats, larger for lower quality.

    Raises:
        DataError: see `opened`; or its EXIF block is broken.
    """
    if (stored := read_stored(path, shown, channels)) is not None:
        return _stored_header(stored, path)
    with opened(path, shown) as image:
        try:
            exif = image.getexif()
            turned = exif.get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)  # lying images
            size = path.stat().st_size
            tables = getattr(image, "quantization", None) or {}
            camera = " ".join(str(exif[tag]).strip("\0 ") for tag in _EXIF_CAMERA if tag in exif)
        except Exception as error:
            raise DataError(_broken(shown, error)) from None
        width, height = (image.height, image.width) if turned else (image.width, image.height)
        return {
            "file_size": size,
            "width": width,
            "height": height,
            "format": image.format or "",
            "mode": image.mode,
            "camera": printable(camera[:100]),
            "quantization": sum(sum(table) for table in tables.values()),
        }


def allocate(n: int, spec: InputSpec) -> np.ndarray:
    """Room for n prepared images: float32 (n, C, H, W), not yet filled.

    Raises:
        DataError: there is not so much memory.
    """
    try:
        return np.empty((n, spec.channels, *spec.size), dtype=np.float32)
    except (MemoryError, ValueError):
        gigabytes = n * spec.channels * spec.size[0] * spec.size[1] * 4 / 1e9
        raise DataError(
            f"{n} images of input.size = {list(spec.size)} need {gigabytes:,.1f} GB of memory. "
            "Lower input.size or use fewer images"
        ) from None


def opened(path: Path, shown: str) -> Image.Image:
    """The image file with its header read, to be closed by the caller.

    Only the formats of `cnnaudit.target.formats` are opened, whatever the file is called.

    Raises:
        DataError: the file is no image of these formats, cannot be opened or has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(path, formats=formats())
    except UnidentifiedImageError:
        raise DataError(_not_read(path, shown)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large(shown)) from None
    except Exception as error:
        if reason := getattr(error, "strerror", None):  # the system's own refusal, not a decoder's
            raise DataError(f"{shown}: the file cannot be opened ({reason}). Check its permissions") from None
        raise DataError(_broken(shown, error)) from None
    if _too_many(image.width * image.height):
        image.close()
        raise DataError(_too_large(shown, f", it has {image.width} x {image.height}"))
    return image


def _not_read(path: Path, shown: str) -> str:
    """The message about a file of another format, or of none."""
    if name := refused_format(path):
        return f"{shown}: this file is {name}, expected one of {', '.join(formats())}. Convert or remove the file"
    return f"{shown}: this is no image that can be read ({', '.join(formats())}). Repair or remove the file"


def _broken(shown: str, error: Exception) -> str:
    """The message about a file that its decoder gives up on."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return f"{shown}: the image is broken ({printable(reason)}). Repair or remove the file"


def _too_many(pixels: int) -> bool:
    """Whether so many pixels are more than Pillow's limit for untrusted images."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS


def _check_resized(image: Image.Image, spec: InputSpec) -> None:
    """Refuse an image so long and narrow that resizing its shorter side would fill the memory."""
    short, long = sorted(image.size)
    if spec.resize is not None and short and _too_many(spec.resize * (spec.resize * long // short)):
        raise DataError(
            f"an image of {image.width} x {image.height} pixels is too long to have its shorter side resized to "
            f"input.resize = {spec.resize}. Crop the image"
        )


def _too_large(shown: str, found: str = "") -> str:
    """The message about an image that would fill the memory."""
    from PIL import Image

    limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
    return f"{shown}: expected at most {limit} million pixels{found}. Store the image smaller"


def _eight_bit(image: Image.Image, channels: int) -> Image.Image:
    """The image in mode L or RGB, transparency laid on white."""
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    wanted = "L" if channels == 1 else "RGB"
    try:
        return image.convert(wanted)
    except ValueError:
        raise DataError(
            f"the mode {image.mode} cannot be converted to {wanted}. Store the image as RGB or gray"
        ) from None


def _deep_gray(image: Image.Image, spec: InputSpec) -> np.ndarray:
    """Gray pixels of more than 8 bits as float32 (H, W) in [0, 1]."""
    if image.mode == "F" and spec.white is None:
        return scale(np.asarray(image), 1.0, spec)
    return scale(np.asarray(image), 65_535.0, spec)


def _stored_header(stored: Stored, path: Path) -> dict[str, int | str]:
    """`header` of an image that is stored as an array."""
    sides = stored.pixels.shape
    height, width = sides[:2] if len(sides) == 2 or sides[2] <= min(sides[:2]) else sides[1:]
    facts: dict[str, int | str] = {"file_size": path.stat().st_size, "width": width, "height": height}
    mode = f"{stored.pixels.dtype} {'x'.join(map(str, sides[2:] if height == sides[0] else sides[:1]))}".strip()
    return {**facts, "format": stored.format, "mode": mode, "camera": "", "quantization": 0}


def require_image(path: Path, shown: str) -> None:
    """Refuse a file that is none of the formats that are read, whatever it is called.

    Raises:
        DataError: it is not.
    """
    if not kind_of(path):
        opened(path, shown).close()
