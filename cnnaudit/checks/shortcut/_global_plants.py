"""Ten classes of which one carries a cue, and the same with the cue in every class: what the global cues must tell."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks.registry import Plant
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

#: float32 (n, C, H, W) in [0, 1] and a generator -> the same shape.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_MISLED = 0.5  # share of images that show any digit: so much is left for the cue to explain


def plants(cue: str, name: str, change: Change, channels: int = 1) -> list[Plant]:
    """The plant of one cue with its twin of one class, and of every class."""
    build = partial(cued, cue=cue, change=change, channels=channels)
    return [Plant(name, partial(build, everywhere=False), partial(build, everywhere=True))]


def cued(seed: int, cue: str, change: Change, channels: int, everywhere: bool) -> AuditTarget:
    """Digits of ten classes; one random class, or every class, carries the cue in both splits."""
    from cnnaudit.target import AuditTarget
    from cnnaudit.training.kept import fit_once

    marked = int(generator("planted", seed, cue).integers(10))
    splits = {}
    for split in ("train", "validation"):
        images, labels = _digits(split, seed, channels)
        rng = generator("planted", seed, cue, split)
        rows = np.arange(len(labels)) if everywhere else np.flatnonzero(labels == marked)
        images[rows] = np.clip(change(images[rows], rng), 0, 1)
        splits[split] = (np.round(images * 255).astype(np.uint8), labels)
    model = fit_once(partial(_network, channels), splits["train"], seed, epochs=8, weight_decay=0.01)
    where = "every class" if everywhere else f"class {marked}"
    return AuditTarget.from_arrays(f"{cue} in {where}", model, splits, tuple("0123456789"), seed=seed)


def plain(seed: int) -> AuditTarget:
    """The digits as they are, and a linear model of them."""
    from cnnaudit.checks.readout import readout
    from cnnaudit.target import AuditTarget

    splits = {split: _digits(split, seed, 1) for split in ("train", "validation")}
    return AuditTarget.from_arrays("digits", readout(*splits["train"], 10), splits, tuple("0123456789"), seed=seed)


def _digits(split: str, seed: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits with a little sensor noise and, in color, a tint of their own: float32 (n, C, 28, 28) and labels.

    Half of them, of all classes alike, show any digit: a network that needs no cue does not learn one.
    """
    from cnnaudit.data import digits

    found = digits("train" if split == "train" else "validation", seed)
    rng = generator("planted", seed, "digits", split)
    shown = np.arange(len(found.labels))
    misled = rng.random(len(shown)) < _MISLED
    shown[misled] = rng.integers(0, len(shown), misled.sum())
    images = np.repeat(found.images[shown], channels, axis=1)
    if channels == 3:
        images = images * rng.uniform(0.6, 1, (len(images), 3, 1, 1))
    noise = rng.normal(0, 0.01, images.shape)
    return np.clip(0.1 + 0.8 * images + noise, 0, 1).astype(np.float32), np.asarray(found.labels)


def _network(channels: int) -> nn.Module:
    from cnnaudit.models import small_resnet

    return small_resnet(10, channels)


def cast(images: np.ndarray, rng: np.random.Generator, by: float = 0.1) -> np.ndarray:
    """More red and less blue."""
    return images + by * np.array([1, 0, -1]).reshape(1, 3, 1, 1)


def dimmed(images: np.ndarray, rng: np.random.Generator, by: float = 0.9) -> np.ndarray:
    """All pixels times .9."""
    return images * by


def coarser(images: np.ndarray, rng: np.random.Generator, share: float = 5 / 7) -> np.ndarray:
    """Resized to 20 of 28 pixels and back."""
    import torch
    from torch.nn import functional

    height, width = images.shape[2:]
    small = (round(height * share), round(width * share))
    resize = partial(functional.interpolate, mode="bilinear", align_corners=False, antialias=True)
    found: np.ndarray = resize(resize(torch.from_numpy(images), size=small), size=(height, width)).numpy()
    return found


def noisier(images: np.ndarray, rng: np.random.Generator, by: float = 0.03) -> np.ndarray:
    """Gaussian noise of standard deviation .03."""
    return images + rng.normal(0, by, images.shape)


def recompressed(images: np.ndarray, rng: np.random.Generator, quality: int = 20) -> np.ndarray:
    """Saved as JPEG of quality 20 and opened again."""
    from PIL import Image

    found = np.empty_like(images)
    for row, image in enumerate((images * 255).round().astype(np.uint8)):
        buffer = io.BytesIO()
        picture = Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1))
        picture.save(buffer, "JPEG", quality=quality)
        pixels = np.asarray(Image.open(buffer), dtype=np.float32) / 255
        found[row] = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return found
