"""What is wrong with a picture as a picture: measures of each image, and which images stand apart by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

#: What each kind of image is, for the table.
KINDS = {
    "flat": "all pixels (nearly) the same",
    "dark": "nothing in it is bright, though it is in other images",
    "bright": "nothing in it is dark, though it is in other images",
    "low contrast": "light and dark lie close together",
    "blurred": "little fine detail for its contrast",
    "little information": "few gray levels",
    "odd size": "far fewer or more pixels than the others",
    "odd aspect": "much narrower or wider than the others",
}
_FLAT = 2 / 255
_DARK, _CONTRAST, _ENTROPY = 0.25, 0.2, 2.0
_BLURRED = 0.3  # of the median sharpness
_PIXELS, _ASPECT = 4.0, 2.0  # factors from the median


def measures(images: torch.Tensor) -> dict[str, np.ndarray]:
    """Measures of images (n, C, H, W) in [0, 1], each (n,), all of the gray image.

    Returns:
        `low`, `high`: the 1 % and 99 % points of the pixels, in [0, 1].
        `range`: largest less smallest value of any channel.
        `sharpness`: root mean square of the second differences along rows and columns, over the pixels' deviation.
        `entropy`: of the histogram of 8-bit levels, in bits, 0 to 8.
    """
    import torch

    gray = images.mean(dim=1)
    flat = gray.flatten(1).sort(dim=1).values
    places = [round(share * (flat.shape[1] - 1)) for share in (0.01, 0.99)]
    bends = torch.cat([gray.diff(n=2, dim=1).flatten(1), gray.diff(n=2, dim=2).flatten(1)], dim=1)
    spread = flat.std(dim=1, unbiased=False).clamp_min(1e-6)
    found = {
        "low": flat[:, places[0]],
        "high": flat[:, places[1]],
        "range": (images.flatten(2).amax(dim=2) - images.flatten(2).amin(dim=2)).amax(dim=1),
        "sharpness": bends.square().mean(dim=1).sqrt() / spread if bends.shape[1] else torch.zeros(len(images)),
    }
    levels = (gray * 255).round().to(torch.int64).flatten(1)
    counts = torch.zeros(len(images), 256).scatter_add_(1, levels, torch.ones(levels.shape))
    shares = counts / levels.shape[1]
    found["entropy"] = -(shares * shares.clamp_min(1e-12).log2()).sum(dim=1)
    return {name: values.double().numpy() for name, values in found.items()}


def findings(measured: Mapping[str, np.ndarray], facts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which images are of which kind, each (n,) of booleans.

    An image is listed where it is poor by itself and stands apart from the median of the others: in a collection of
    night photographs none is too dark.

    Args:
        measured: as `measures` gives.
        facts: `width`, `height` of the files, each (n,); empty for images from no files.
    """
    low, high, entropy = (measured[name] for name in ("low", "high", "entropy"))
    flat = measured["range"] <= _FLAT
    contrast = high - low
    dark = ~flat & (high < _DARK) & (high < np.median(high) / 2)
    bright = ~flat & (low > 1 - _DARK) & (1 - low < np.median(1 - low) / 2)
    unlit = flat | dark | bright
    found = {
        "flat": flat,
        "dark": dark,
        "bright": bright,
        "low contrast": ~unlit & (contrast < _CONTRAST) & (contrast < np.median(contrast) / 3),
        "blurred": ~flat & (measured["sharpness"] < _BLURRED * np.median(measured["sharpness"])),
        "little information": ~unlit & (entropy < _ENTROPY) & (entropy < np.median(entropy) / 3),
    }
    if facts:
        pixels = np.asarray(facts["width"], float) * np.asarray(facts["height"], float)
        aspect = np.asarray(facts["width"], float) / np.asarray(facts["height"], float)
        for name, values, factor in (("odd size", pixels, _PIXELS), ("odd aspect", aspect, _ASPECT)):
            ratio = values / np.median(values)
            found[name] = (ratio > factor) | (ratio < 1 / factor)
    return found
