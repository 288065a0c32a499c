"""From an image as it is stored to the pixels in [0, 1] that a model takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError

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
        DataError: pixels of 32 bits are outside the range that can be scaled.
    """
    from PIL import Image, ImageOps
    from torchvision.transforms import InterpolationMode, functional

    image = ImageOps.exif_transpose(image)
    deep = image.mode == "F" or image.mode.startswith("I")
    image = Image.fromarray(_deep_gray(image)) if deep else _eight_bit(image, spec.channels)
    mode = InterpolationMode(spec.interpolation)
    size = list(spec.size) if spec.resize is None else [spec.resize]
    resized = functional.resize(image, size, interpolation=mode)
    cropped = functional.center_crop(resized, list(spec.size))
    pixels = np.asarray(cropped, dtype=np.float32)
    pixels = np.clip(pixels, 0, 1) if deep else pixels / np.float32(255)  # sharp filters overshoot in float images
    if pixels.ndim == 2:
        return np.repeat(pixels[None], spec.channels, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def load(path: Path, spec: InputSpec, shown: str) -> np.ndarray:
    """The prepared pixels of an image file; `shown` is the name for messages.

    Raises:
        DataError: the file is no image, is broken, cannot be opened or has too many pixels.
    """
    with opened(path, shown) as image:
        try:
            return prepare(image, spec)
        except DataError as error:
            raise DataError(f"{shown}: {error}") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error …
            raise DataError(f"{shown}: the image is broken ({error}). Repair or remove the file") from None


def opened(path: Path, shown: str) -> Image.Image:
    """The image file with its header read, to be closed by the caller.

    Raises:
        DataError: the file is no image, cannot be opened or has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(path)
    except UnidentifiedImageError:
        raise DataError(f"{shown}: this is no image that Pillow can read. Repair or remove the file") from None
    except Image.DecompressionBombError:
        raise DataError(_too_large(shown)) from None
    except Exception as error:
        if reason := getattr(error, "strerror", None):  # the system's own refusal, not a decoder's
            raise DataError(f"{shown}: the file cannot be opened ({reason}). Check its permissions") from None
        raise DataError(f"{shown}: the image is broken ({error}). Repair or remove the file") from None
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        image.close()
        raise DataError(_too_large(shown, f", it has {image.width} x {image.height}"))
    return image


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
    return image.convert("L" if channels == 1 else "RGB")


def _deep_gray(image: Image.Image) -> np.ndarray:
    """Gray pixels of more than 8 bits as float32 (H, W) in [0, 1]."""
    pixels: np.ndarray = np.asarray(image, dtype=np.float64)
    if image.mode != "F":
        pixels = pixels / 65_535
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        scale = 1 if image.mode == "F" else 65_535
        raise DataError(
            f"expected gray pixels in 0..{scale} (mode {image.mode}), got {low * scale:g}..{high * scale:g}. "
            "Store the image with 8 or 16 bits"
        )
    return pixels.astype(np.float32)
