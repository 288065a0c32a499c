"""Occlusion maps and LIME explanations as pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from cnnaudit.attribution._lime import LimeExplanation
from cnnaudit.attribution._occlusion import OcclusionMaps
from cnnaudit.core.errors import AuditError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


GRAY = 0.5
GREEN, RED = np.array([0.0, 0.6, 0.2]), np.array([0.8, 0.1, 0.1])
YELLOW = np.array([1.0, 0.9, 0.0])
TITLES = ("image", "5 most positive", "5 most positive, rest shown", "10 strongest, for and against", "weight ≥ 0.1")
MOST_CLASSES = 8  # in a legend


def lime_panels(image: torch.Tensor, explanation: LimeExplanation, class_index: int | None = None) -> np.ndarray:
    """The five panels of an explanation, float64 (5, H, W, 3) in [0, 1].

    In order: the image; the five superpixels of largest positive weight on gray; the same with the rest shown; the ten
    of largest absolute weight, green for the class and red against it; all whose absolute weight is at least 0.1 of
    probability, colored alike. Borders of the superpixels named are drawn.

    Args:
        image: (C, H, W), the one explained.
        class_index: one of the explanation's classes; None: its first.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017,
    fig. 24.

    Example:
        >>> import torch
        >>> from cnnaudit.attribution import lime_explanation
        >>> image = torch.zeros(1, 16, 16)
        >>> image[:, :, 8:] = 1
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))
        >>> lime_panels(image, lime_explanation(net, image, 0, samples=50, segmentation="felzenszwalb")).shape
        (5, 16, 16, 3)
    """
    if class_index is not None and class_index not in explanation.classes:
        raise AuditError(f"lime_panels: class {class_index} was not explained; these were: {explanation.classes}")
    weights = explanation.weights[0 if class_index is None else explanation.classes.index(class_index)]
    pixels, segments = _color(image), explanation.segments
    strongest = np.argsort(-np.abs(weights), kind="stable")
    positive = [s for s in strongest if weights[s] > 0][:5]
    held = np.isin(segments, positive)
    alone = np.where(held[..., None], pixels, GRAY)
    signed = [
        _tinted(pixels, segments, weights, chosen)
        for chosen in (strongest[:10], strongest[np.abs(weights[strongest]) >= 0.1])
    ]
    return np.stack([pixels, _outlined(alone, held), _outlined(pixels, held), *signed])


def _tinted(pixels: np.ndarray, segments: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen superpixels green where they speak for the class and red where against it."""
    panel = pixels
    for color, sign in ((GREEN, 1), (RED, -1)):
        held = np.isin(segments, [s for s in chosen if sign * weights[s] > 0])
        panel = np.where(held[..., None], 0.5 * panel + 0.5 * color, panel)
        panel = _outlined(panel, held, color)
    return panel


def _outlined(panel: np.ndarray, held: np.ndarray, color: np.ndarray = YELLOW) -> np.ndarray:
    """The panel with the border of the mask drawn inside it."""
    around = np.pad(held, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return np.where((held & ~inner)[..., None], color, panel)


def _color(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) as float64 (H, W, 3)."""
    array: np.ndarray = image.detach().expand(3, *image.shape[1:]).permute(1, 2, 0).cpu().double().numpy()
    return array


def draw_lime_panels(
    image: torch.Tensor, explanation: LimeExplanation, classes: Mapping[int, str] | None = None
) -> bytes:
    """One PNG: a row of the five panels for each class of the explanation, with the fit's R squared.

    Args:
        classes: names of the classes; else numbers.
    """
    from matplotlib.figure import Figure

    classes, count = classes or {}, len(explanation.classes)
    figure = Figure(figsize=(14, 3.1 * count), layout="constrained")
    grid = figure.subplots(count, 5, squeeze=False)
    for row, (index, axes) in enumerate(zip(explanation.classes, grid)):
        for axis, panel, title in zip(axes, lime_panels(image, explanation, index), TITLES):
            _plain(axis, title if row == 0 else "").imshow(panel)
        if np.abs(explanation.weights[row]).max() < 0.1:
            axes[4].set_xlabel("no superpixel reaches it", fontsize=9)
        probability, fit = explanation.probabilities[row], explanation.fit[row]
        axes[0].set_ylabel(f"{classes.get(index, index)}\nprobability {probability:.2f}, R² {fit:.2f}")
    return _png(figure)


def draw_occlusion_maps(maps: OcclusionMaps, images: torch.Tensor, number: int, classes: Sequence[str] = ()) -> bytes:
    """A PNG of three panels for image `number`: the image, the heat map of the class, the most likely classes.

    Args:
        images: those that the maps are of, (N, 1 or 3, H, W) in [0, 1].
        classes: their names; else numbers.
    """

    from matplotlib.figure import Figure

    def named(k: int) -> str:
        return classes[k] if k < len(classes) else f"class {k}"

    figure = Figure(figsize=(12, 4), layout="constrained")
    first, heat, likely = figure.subplots(1, 3)
    wanted = int(maps.class_index[number])
    _plain(first, f"image: {named(int(maps.own_likely[number]))}").imshow(_color(images[number]))
    shown = _plain(
        heat,
        f"probability of {named(wanted)}\nwith the window there hidden ({maps.own_probability[number]:.2f} without)",
    )
    figure.colorbar(shown.imshow(maps.heat[number].cpu().numpy(), vmin=0, vmax=1, cmap="viridis"), ax=heat, shrink=0.8)
    _likely(
        _plain(likely, "most likely class\nwith the window there hidden"),
        maps.likely_image[number].cpu().numpy(),
        named,
    )
    return _png(figure)


def _likely(axis: Axes, plane: np.ndarray, named: Callable[[int], str]) -> None:
    """Each pixel in the color of its class, the most frequent ones in the legend."""
    import matplotlib
    from matplotlib.patches import Patch

    found, counts = np.unique(plane, return_counts=True)
    ranked = found[np.argsort(-counts, kind="stable")]
    palette = matplotlib.colormaps["tab10"]
    colors = {k: np.array(palette(i)[:3]) if i < MOST_CLASSES else np.full(3, 0.75) for i, k in enumerate(ranked)}
    axis.imshow(np.stack([colors[k] for k in plane.ravel()]).reshape(*plane.shape, 3))
    handles = [Patch(color=tuple(colors[k]), label=named(int(k))) for k in ranked[:MOST_CLASSES]]
    if len(ranked) > MOST_CLASSES:
        handles.append(Patch(color="0.75", label=f"{len(ranked) - MOST_CLASSES} others"))
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)


def _plain(axis: Axes, title: str) -> Axes:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=9)
    return axis


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
