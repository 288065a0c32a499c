"""One door to all corruptions: which there are, how severe, and on which images they are defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.core.wording import nearest
from cnnaudit.corruptions import blur, digital, noise, weather
from cnnaudit.interventions.images import require_images

SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 8  # pixels: a block of JPEG
_LARGE, _SMALL = 224, 32  # sides that the published settings are for
_BETWEEN = 84  # pixels: up to this side, the geometric mean of both, the settings for small images are taken

Corruptor = Callable[[torch.Tensor, Any, float, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Attributes:
        group: `noise`, `blur`, `weather` or `digital`.
        apply: takes images, the setting of a severity, the images' shorter side relative to the published one (by
            which lengths in pixels are multiplied) and a generator.
        large, small: the published settings of the five severities for ImageNet (224 pixels) and CIFAR-10 (32 pixels).
    """

    group: str
    apply: Corruptor
    large: tuple[Any, ...]
    small: tuple[Any, ...]


#: The corruptions by name, in the order of the publication.
CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "gaussian_noise": Corruption(
            "noise", noise.gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10)
        ),
        "shot_noise": Corruption("noise", noise.shot_noise, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
        "impulse_noise": Corruption(
            "noise", noise.impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)
        ),
        # radius of the disk and standard deviation that smooths its edge
        "defocus_blur": Corruption(
            "blur",
            blur.defocus_blur,
            ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
            ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ),
        # standard deviation of the blur, largest displacement, repetitions
        "glass_blur": Corruption(
            "blur",
            blur.glass_blur,
            ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
            ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ),
        # radius, standard deviation
        "motion_blur": Corruption(
            "blur",
            blur.motion_blur,
            ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
            ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ),
        # largest zoom and its step, as numpy.arange takes them
        "zoom_blur": Corruption(
            "blur",
            blur.zoom_blur,
            ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
            ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ),
        # mean and deviation of the flakes, their size, threshold, motion blur (radius, deviation), share of the image
        "snow": Corruption(
            "weather",
            weather.snow,
            (
                (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
                (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
                (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
                (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
                (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
            ),
            (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
            ),
        ),
        # share of the image, share of the frost
        "frost": Corruption(
            "weather",
            weather.frost,
            ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
            ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ),
        # thickness, and by how much each finer layer of the fog is fainter
        "fog": Corruption(
            "weather",
            weather.fog,
            ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
            ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ),
        "brightness": Corruption("weather", weather.brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
        "contrast": Corruption("digital", digital.contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
        # strength, smoothness and displacement of three points; the publication writes 244 for 224
        "elastic_transform": Corruption(
            "digital",
            digital.elastic_transform,
            tuple(
                tuple(244 * c for c in row)
                for row in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
            ),
            tuple(
                tuple(32 * c for c in row)
                for row in ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
            ),
        ),
        "pixelate": Corruption("digital", digital.pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
        "jpeg_compression": Corruption("digital", digital.jpeg_compression, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    }
)


def corrupt(images: torch.Tensor, name: str, severity: int, generator: torch.Generator) -> torch.Tensor:
    """The images with one common corruption, each drawn anew, in [0, 1].

    At 32 and 224 pixels (shorter side) these are the published definitions with the published settings, but for frost,
    whose photographs are replaced by a drawn texture, and for rounding to 8 bits on the way, which is left out. At
    other sizes lengths in pixels grow with the image; up to 84 pixels the settings for small images are taken.

    Args:
        images: float (N, C, H, W) in [0, 1], C 1 or 3, sides of at least 8 pixels, on any device.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        generator: on the CPU; the same state gives the same images on every device.

    Raises:
        DataError: no such corruption or severity, or images that are none or leave [0, 1].
        UnsupportedError: the corruptions are not defined on such images: other channels, or sides below 8 pixels.

    Source:
        Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, 2019.

    Example:
        >>> images = torch.rand(2, 3, 32, 32)
        >>> corrupt(images, "fog", 3, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 32, 32])
    """
    _check(images, name, severity)
    found, side = CORRUPTIONS[name], min(images.shape[2:])
    settings, reference = (found.small, _SMALL) if side <= _BETWEEN else (found.large, _LARGE)
    return found.apply(images, settings[severity - 1], side / reference, generator).clamp(0, 1)


def _check(images: torch.Tensor, name: str, severity: int) -> None:
    if name not in CORRUPTIONS:
        raise DataError(f"corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}{nearest(name, CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity!r}: expected a whole number from 1 to 5")
    require_images(images)
    channels, height, width = images.shape[1:]
    if channels not in (1, 3):
        raise UnsupportedError(f"corruptions are defined on images of 1 or 3 channels, these have {channels}")
    if min(height, width) < SMALLEST:
        raise UnsupportedError(
            f"corruptions need images of at least {SMALLEST} x {SMALLEST} pixels, these have {height} x {width}"
        )
    low, high = (float(bound) for bound in images.aminmax())
    if low < 0 or high > 1:
        raise DataError(f"corruptions take pixels in [0, 1], got {low:.3g} to {high:.3g}; divide by 255")
