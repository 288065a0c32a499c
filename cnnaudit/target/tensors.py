"""An image as a tensor or array, as the pixels in [0, 1] that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.target.numbers import as_array
from cnnaudit.target.stored import scale

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec

ROUNDING = 2e-3  # what normalizing in half precision leaves outside [0, 1]


def as_pixels(name: str, image: Any, spec: InputSpec) -> np.ndarray:
    """The image as float32 (C, H, W) in [0, 1].

    Args:
        image: (C, H, W), (H, W) or (H, W, C) of the size of `spec`: uint8, float in [0, 1], whole numbers where
            `spec.white` says how much white is, or normalized where `spec.already` says so.

    Raises:
        DataError: it has another shape, type or range.
    """
    pixels = as_array(name, image)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    expected = (spec.channels, *spec.size)
    if pixels.shape == (*spec.size, spec.channels) != expected:
        pixels = np.moveaxis(pixels, 2, 0)
    if pixels.shape != expected:
        raise DataError(
            f"{name}: expected (C, H, W) = {expected} as [input] says, got {pixels.shape}. "
            "Return Pillow images to have them resized"
        )
    if spec.already is not None:
        whole: np.ndarray = undone(name, pixels[None], spec)[0]
        return whole
    if pixels.dtype.kind in "iu" and pixels.dtype != np.uint8 and isinstance(spec.white, (float, str)):
        return _scaled(name, pixels, spec)
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise DataError(
            f"{name}: expected uint8 or float pixels, got {pixels.dtype}. Say in data.scale how much white is"
        )
    pixels = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise DataError(
            f"{name}: expected pixels in [0, 1], got {low:g}..{high:g}. Leave normalization out of the dataset and "
            "give "
            "it as input.mean and input.std, or say input.already = 'normalized' and it is undone"
        )
    return pixels


def undone(name: str, images: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Normalized images (N, C, H, W) as pixels in [0, 1]: (x * std + mean) / scale, in the order RGB.

    Raises:
        DataError: they do not come out in [0, 1].
    """
    if images.dtype.kind != "f":
        raise DataError(f"{name}: input.already = 'normalized', but the images are {images.dtype}, not floats")
    mean, std = (np.asarray(values, dtype=np.float32).reshape(1, -1, 1, 1) for values in (spec.mean, spec.std))
    pixels = (images.astype(np.float32) * std + mean) / np.float32(spec.scale)
    pixels = pixels[:, ::-1] if spec.order == "BGR" else pixels
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise DataError(
            f"{name}: expected pixels in [0, 1] once input.mean = {list(spec.mean)} and input.std = "
            f"{list(spec.std)} are "
            f"undone, got {low:g}..{high:g}. Give the mean and the std that the dataset normalizes with"
        )
    clipped: np.ndarray = np.clip(pixels, 0, 1)
    return clipped


def _scaled(name: str, pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    if spec.white == "auto":
        raise DataError(f"{name}: data.scale = 'auto' looks into files; give the value of white, such as 4095")
    try:
        return scale(pixels, 65_535.0, spec)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
