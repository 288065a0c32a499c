"""Figures with a tag at a fixed place or a watermark anywhere, and networks that learn it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import Plant
from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

Mark = Callable[[np.ndarray, np.random.Generator], np.ndarray]
TAG, WATERMARK = 3, 5


def tag(images: np.ndarray, rng: np.random.Generator, *, offset: int | None, white: bool = False) -> np.ndarray:
    """The images with a tag of 3 x 3 pixels, `offset` pixels off the corner; None: in the center."""
    marked = images.copy()
    at = images.shape[2] // 2 - 1 if offset is None else offset
    pixels = np.ones((images.shape[1], TAG, TAG)) if white else _pixels(images.shape[1], TAG)
    marked[:, :, at : at + TAG, at : at + TAG] = pixels
    return marked


def watermark(images: np.ndarray, rng: np.random.Generator, *, alpha: float = 1.0) -> np.ndarray:
    """The images with a black and white mark of 5 x 5 pixels at a random place of each."""
    marked, mark = images.copy(), _pixels(1, WATERMARK).round()
    for image in marked:
        top, left = rng.integers(0, np.array(image.shape[1:]) - WATERMARK)
        area = image[:, top : top + WATERMARK, left : left + WATERMARK]
        area[:] = (1 - alpha) * area + alpha * mark
    return marked


def _pixels(channels: int, side: int) -> np.ndarray:
    """The same random pixels in every image."""
    return generator("planted", "mark").random((channels, side, side)).astype(np.float32)


def planted(seed: int, mark: Mark, *, share: float = 1.0, every_class: bool = False, used: bool = True) -> AuditTarget:
    """Figures in heavy noise with a mark in a share of one class, or of all, and a network fitted to them.

    Args:
        used: whether the network is fitted to the marked images, or to the images as they were.
    """
    from cnnaudit.data import shapes
    from cnnaudit.data._shapes import CLASSES
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "marks")
    parts, clean = {}, {}
    for split, n in (("train", 400), ("validation", 300)):
        drawn = shapes("scaling", noise=60, inverted=True, n_per_class=n, seed=derive_seed("planted", seed, split))
        rows = ((drawn.labels == seed % 3) | every_class) & (rng.random(len(drawn.labels)) < share)
        images = drawn.images.copy()
        images[rows] = mark(images[rows], rng)
        parts[split], clean[split] = (images, drawn.labels), (drawn.images, drawn.labels)
    model = readout(*(parts if used else clean)["train"], len(CLASSES))
    return AuditTarget.from_arrays("marked figures", model, parts, CLASSES)


def _plant(name: str, mark: Mark, share: float = 1.0) -> Plant:
    return Plant(
        name, partial(planted, mark=mark, share=share), partial(planted, mark=mark, share=share, every_class=True)
    )


def place_plants() -> list[Plant]:
    """Tags at a fixed place in one class, and in every class."""
    return [
        _plant("a tag in the corner of one class", partial(tag, offset=0)),
        _plant("a tag three pixels off the corner of one class", partial(tag, offset=3)),
        _plant("a tag in the center of one class", partial(tag, offset=None)),
        _plant("a white tag in the center of one class", partial(tag, offset=None, white=True)),
        _plant("a tag off the corner of half of a class", partial(tag, offset=3), 0.5),
    ]


def patch_plants() -> list[Plant]:
    """Watermarks anywhere in one class, and in every class."""
    return [
        _plant("a watermark anywhere in one class", watermark),
        _plant("a half transparent watermark anywhere in one class", partial(watermark, alpha=0.5)),
    ]
