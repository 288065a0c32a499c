"""Synthetic images of circles or ellipses, squares or rectangles, and triangles, as in the thesis of España (2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.statistics import derive_seed, generator

CLASSES = ("circle", "square", "triangle")

#: What the thesis says of its four datasets, and the readings that come nearest to its Table I where it says nothing
#: (how the square stands, whether repeated swaps cancel, the radius under rotation).
REFERENCES: Mapping[str, Mapping[str, Any]] = {
    "1.3": {"transformation": "scaling", "noise": 0, "inverted": False, "square": "vertex"},
    "2.1": {"transformation": "rotation", "noise": 0, "inverted": False},
    "3.0": {"transformation": "scaling", "noise": 20, "inverted": True, "square": "vertex", "swaps": "repeated"},
    "4.0": {"transformation": "rotation", "noise": 20, "inverted": True, "swaps": "repeated"},
}
_PER_CLASS = {"train": 1000, "validation": 2000}
_RADIUS: Mapping[str, tuple[float, float]] = {"scaling": (0.3, 0.9), "rotation": (0.7, 0.7)}
_CHOICES = {"transformation": ("rotation", "scaling"), "swaps": ("exact", "repeated"), "square": ("side", "vertex")}
_CHUNK = 100  # images drawn at once: 100 canvases stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Shapes:
    """Synthetic images, class after class.

    Attributes:
        images: float32 (N, 1, size, size) in [0, 1], white = 1.
        labels: int64 (N,), positions in `classes`.
        polarity: bool (N,), True where the figure is white on black ("inverted").
        radius: float64 (N,), circumscribed radius; the image is the square [-1, 1] x [-1, 1].
        angle: float64 (N,), rotation in degrees, counter-clockwise.
        classes: the class names.
    """

    images: np.ndarray
    labels: np.ndarray
    polarity: np.ndarray
    radius: np.ndarray
    angle: np.ndarray
    classes: tuple[str, ...] = CLASSES


def shapes(
    transformation: Literal["rotation", "scaling"] = "rotation",
    noise: float = 20,
    inverted: bool = True,
    radius: float | tuple[float, float] | None = None,
    canvas: int = 100,
    n_per_class: int = 1000,
    seed: int = 0,
    swaps: Literal["exact", "repeated"] = "exact",
    square: Literal["side", "vertex"] = "side",
    size: int = 28,
    aspect: float | tuple[float, float] = 1,
) -> Shapes:
    """Draw circles, squares and equilateral triangles, each inscribed in a circle around the image's center.

    With `aspect` above 1 the circle becomes an ellipse and the square a rectangle.

    A figure is drawn in black and white on a canvas, pixels of the canvas are swapped, and the canvas is averaged
    down to `size` (each pixel the mean of the area it covers), which turns the noise into grays.

    Args:
        transformation: `rotation` turns every figure by a uniform angle; `scaling` leaves it upright. Either way the
            radius is drawn from `radius` when that is a range.
        noise: percentage of the canvas's pixels that are swapped between black and white; 20 means 2,000 of 100 x 100.
        inverted: whether every second image of a class is white on black; otherwise all are black on white.
        radius: radius of the circumscribed circle, one number or a range, the image reaching from -1 to 1. Default:
            the range 0.3 to 0.9 for scaling (from the thesis), 0.7 for rotation (the thesis gives none).
        canvas: side of the canvas in pixels. The thesis swaps 2,000 pixels "at level 20", which fits 100 x 100.
        n_per_class: images of each class.
        seed: the same seed gives the same images. Figures and noise are drawn apart: changing `noise` moves no figure.
        swaps: `exact` swaps that many distinct pixels; `repeated` draws them with replacement, and a pixel drawn twice
            is back at its color (at noise 20 about 16.5 % end up swapped). The thesis does not say which.
        square: whether the upright square stands on its side or on a vertex. The thesis does not say.
        size: side of the images in pixels; `size=canvas` gives the canvases themselves.
        aspect: the longer by the shorter axis of the ellipse, and side of the rectangle; two numbers: of each. A
            rectangle other than a square stands on its side. The thesis writes ellipse and rectangle and gives no
            ratio, but says that its ellipses do not change when they are turned.

    Returns:
        The images with their labels, class after class.

    Raises:
        DataError: an argument is outside its range.

    Source: I. España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, section III.

    Example:
        >>> data = shapes("scaling", noise=0, inverted=False, n_per_class=2)
        >>> data.images.shape, data.labels.tolist()
        ((6, 1, 28, 28), [0, 0, 1, 1, 2, 2])
    """
    _check_choices(transformation=transformation, swaps=swaps, square=square)
    low, high = _radius_range(_RADIUS[transformation] if radius is None else radius)
    if not 0 <= noise <= 100:
        raise DataError(f"shapes: noise is a percentage of the canvas, 0..100, got {noise!r}")
    aspects = _aspects(aspect, square)
    for name, number in (("canvas", canvas), ("n_per_class", n_per_class), ("size", size)):
        if number < 1:
            raise DataError(f"shapes: {name} must be at least 1, got {number!r}")
    n = len(CLASSES) * n_per_class
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.int64), n_per_class)
    polarity = np.tile(np.arange(n_per_class) % 2 == 1, len(CLASSES)) & inverted
    figures, swapping = generator("shapes", seed), generator("shapes", seed, "noise")
    radii = figures.uniform(low, high, n)
    angles = figures.uniform(0, 360, n) if transformation == "rotation" else np.zeros(n)
    count = round(noise / 100 * canvas**2)
    averaging = _area_average(canvas, size)
    images = np.empty((n, 1, size, size), dtype=np.float32)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        black = _draw(labels[part], radii[part], angles[part], canvas, square, aspects)
        white = black ^ ~polarity[part, None, None] ^ _swapped(len(black), canvas, count, swaps, swapping)
        images[part, 0] = averaging @ white.astype(float) @ averaging.T
    return Shapes(images, labels, polarity, radii, angles)


def reference(
    dataset: str, split: str = "train", seed: int = 0, n_per_class: int | None = None, **changes: Any
) -> Shapes:
    """One of the four datasets of the thesis, by its number there.

    | dataset | what varies | noise | white on black | chosen here |
    |---|---|---|---|---|
    | 1.3 | radius .3 to .9 | none | none | square on a vertex |
    | 2.1 | rotation | none | none | radius .7 |
    | 3.0 | radius .3 to .9 | 20 | half | square on a vertex, repeated swaps |
    | 4.0 | rotation | 20 | half | radius .7, repeated swaps |

    The last column is what the thesis leaves open; each can be changed by an argument of `shapes`. It was chosen by
    the validation accuracy of the best of a few networks with 109 parameters on 3.0, which the thesis gives as .930:
    square on a vertex with repeated swaps .939, on its side with repeated swaps .897, on a vertex with exact swaps
    .887, on its side with exact swaps .852. Plausible, then, not established.

    Args:
        dataset: `1.3`, `2.1`, `3.0` or `4.0`.
        split: `train` (1,000 images of each class) or `validation` (2,000), never the same draw.
        seed: another seed gives another draw of both.
        n_per_class: another number of images of each class.
        changes: arguments of `shapes` that replace the dataset's own.

    Raises:
        DataError: there is no such dataset or split, or an argument is outside its range.

    Example:
        >>> reference("2.1", "validation", n_per_class=4).images.shape
        (12, 1, 28, 28)
    """
    if dataset not in REFERENCES:
        raise DataError(f"dataset must be one of {', '.join(REFERENCES)}, got {dataset!r}")
    if split not in _PER_CLASS:
        raise DataError(f"split must be train or validation, got {split!r}")
    arguments = {**REFERENCES[dataset], **changes}
    return shapes(n_per_class=n_per_class or _PER_CLASS[split], seed=derive_seed(dataset, split, seed), **arguments)


def _check_choices(**values: str) -> None:
    """Refuse a word that is none of the argument's choices."""
    for name, value in values.items():
        if value not in _CHOICES[name]:
            raise DataError(f"shapes: {name} must be {' or '.join(_CHOICES[name])}, got {value!r}")


def _radius_range(radius: float | tuple[float, float]) -> tuple[float, float]:
    """The range of the radius, refused where it does not fit the image."""
    low, high = (radius, radius) if isinstance(radius, (int, float)) else radius
    if not 0 < low <= high <= 1:
        raise DataError(f"shapes: radius must be one number or (low, high), above 0 and at most 1, got {radius!r}")
    return low, high


def _aspects(aspect: float | tuple[float, float], square: str) -> tuple[float, float]:
    """The aspect ratios of ellipse and rectangle, refused where they name no such figure."""
    ellipse, rectangle = (aspect, aspect) if isinstance(aspect, (int, float)) else aspect
    if not (1 <= ellipse <= 10 and 1 <= rectangle <= 10):
        raise DataError(f"shapes: aspect must be one number or (ellipse, rectangle), each 1 to 10, got {aspect!r}")
    if rectangle > 1 and square == "vertex":
        raise DataError("shapes: a rectangle stands on its side; give square='side', or aspect=(ellipse, 1)")
    return ellipse, rectangle


def _draw(
    labels: np.ndarray,
    radii: np.ndarray,
    angles: np.ndarray,
    canvas: int,
    square: str,
    aspects: tuple[float, float] = (1, 1),
) -> np.ndarray:
    """The pixels whose center lies inside the figure, bool (n, canvas, canvas), row 0 on top."""
    centers = ((2 * np.arange(canvas) + 1) / canvas - 1).astype(np.float32)
    x, y = centers[None, None, :], -centers[None, :, None]
    # Directions of the sides' outward normals for an upright figure; none for a circle.
    normals = {0: (), 1: (0, 90, 180, 270) if square == "side" else (45, 135, 225, 315), 2: (30, 150, 270)}
    inside = np.ones((len(labels), canvas, canvas), dtype=bool)
    for label in np.unique(labels):
        members = labels == label
        radius = radii[members].astype(np.float32)[:, None, None]
        if not normals[label]:
            inside[members] = _ellipse(x, y, radius, angles[members], aspects[0])
            continue
        apothem = radius * np.float32(np.cos(np.pi / len(normals[label])))
        figure = inside[members]
        for number, normal in enumerate(normals[label]):
            if label == 1 and aspects[1] != 1:  # half the longer side, half the shorter one, in turns
                apothem = radius * np.float32((aspects[1], 1)[number % 2] / np.hypot(aspects[1], 1))
            direction = np.deg2rad(angles[members] + normal).astype(np.float32)[:, None, None]
            figure &= np.cos(direction) * x + np.sin(direction) * y <= apothem
        inside[members] = figure
    return inside


def _ellipse(x: np.ndarray, y: np.ndarray, radius: np.ndarray, angles: np.ndarray, aspect: float) -> np.ndarray:
    """The inside of an ellipse whose longer semiaxis is the radius, bool (n, canvas, canvas)."""
    if aspect == 1:
        circle: np.ndarray = x**2 + y**2 <= radius**2
        return circle
    turn = np.deg2rad(angles).astype(np.float32)[:, None, None]
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    ellipse: np.ndarray = along**2 + (np.float32(aspect) * across) ** 2 <= radius**2
    return ellipse


def _swapped(n: int, canvas: int, count: int, swaps: str, rng: np.random.Generator) -> np.ndarray:
    """Which pixels change color, bool (n, canvas, canvas): `count` distinct ones, or `count` draws that can cancel."""
    pixels = canvas**2
    if swaps == "repeated":
        drawn = rng.integers(pixels, size=(n, count)) + pixels * np.arange(n)[:, None]
        mask: np.ndarray = np.bincount(drawn.ravel(), minlength=n * pixels) % 2 == 1
    else:
        mask = np.zeros(n * pixels, dtype=bool)
        for image in range(n if count else 0):
            mask[image * pixels + rng.choice(pixels, count, replace=False, shuffle=False)] = True
    return mask.reshape(n, canvas, canvas)


def _area_average(canvas: int, size: int) -> np.ndarray:
    """Weights (size, canvas) of the mean over the stretch of canvas that each of `size` pixels covers."""
    edges = np.linspace(0, canvas, size + 1)
    start = np.arange(canvas)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    weights: np.ndarray = np.clip(overlap, 0, None) * size / canvas
    return weights
