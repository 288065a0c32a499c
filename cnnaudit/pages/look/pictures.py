"""The pictures of one image: every attribution on one scale, LIME's panels, what hiding parts of the image does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import AuditError
from cnnaudit.core.evidence import Evidence, images, table
from cnnaudit.core.progress import progress
from cnnaudit.core.wording import one_line
from cnnaudit.pages.document import Drawing, Part

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from cnnaudit.pages.look.trust import Trust
    from cnnaudit.target import AuditTarget

COLORS = "cividis"
SIGNED_COLORS = "PuOr_r"  # orange for the class, purple against it
ZERO = 1e-12  # below, what a fit makes of a constant answer is rounding
WINDOWS = 7  # windows of the occlusion's grid along a side, overlapping by half
LIME_SAMPLES = 200


@dataclass
class Gallery:
    """The attributions of one image: maps by method, in [-1, 1] where signed, else in [0, 1]; why others have none."""

    maps: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def attributions(target: AuditTarget, image: torch.Tensor, class_index: int, seed: int) -> Gallery:
    """What every method of `METHODS` says about the image (C, H, W): each pixel's contribution or strength."""
    import torch

    from cnnaudit.attribution.methods import METHODS, contribution, saliency

    gallery = Gallery()
    batch = image[None].to(target.device)
    for method in progress(METHODS.values(), "attributions", len(METHODS)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a map of zeros: told below
                found = method.compute(target.model, batch, class_index, torch.Generator().manual_seed(seed))
        except AuditError as reason:
            gallery.missing[method.name] = f"not applicable: {reason}"
            continue
        except Exception as error:  # one method that breaks must not take the others with it
            gallery.missing[method.name] = f"it broke on this model: {one_line(error)}"
            continue
        values = (contribution if method.signed else saliency)(found.detach())[0].double().cpu().numpy()
        if np.abs(values).max() <= ZERO:
            gallery.missing[method.name] = (
                "a map of zeros, so that there is nothing to draw"
                if method.baseline
                else "zero everywhere: the class's score does not depend on this image in the way the method looks at"
            )
            continue
        gallery.maps[method.name] = _scaled(values)
    return gallery


def _scaled(values: np.ndarray) -> np.ndarray:
    """The map so that its strongest half percent is 1: a single bright pixel must not darken all others."""
    strong = float(np.quantile(np.abs(values), 0.995)) or float(np.abs(values).max())
    return np.asarray((values / strong).clip(-1, 1))


def side_by_side(image: torch.Tensor, gallery: Gallery, trusted: Trust) -> list[Part]:
    """The image and all maps in one row of pictures, each with its verdicts, and the scale they share."""
    import matplotlib

    from cnnaudit.attribution.methods import METHODS

    palette, signed = matplotlib.colormaps[COLORS], matplotlib.colormaps[SIGNED_COLORS]
    pictures = [_color(image)]
    captions = ["The image"]
    for name, values in gallery.maps.items():
        method = METHODS[name]
        colors = signed((values + 1) / 2) if method.signed else palette(values)
        pictures.append(np.moveaxis(colors[..., :3], -1, 0))
        captions.append(": ".join(filter(None, [method.title, "" if method.baseline else trusted.words(name)])))
    scale = Drawing(
        "The scales of all maps",
        _scales,
        "Orange speaks for the class, purple against it, white for neither. Methods that tell only how much a pixel "
        "counts, not in which direction, are drawn from blue (not at all) to yellow. Each map has its own largest "
        "values at the end of the scale (the strongest half percent of its pixels): compare where maps are strong, not "
        "how strong.",
    )
    return [images("All methods, side by side", np.stack(pictures), captions), scale]


def _scales() -> Figure:
    """The two color bars alone."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 1.5), layout="constrained")
    bars = (
        (SIGNED_COLORS, -1, "contribution (-1: most against the class, 1: most for it)"),
        (COLORS, 0, "strength (0: none, 1: the method's strongest pixels)"),
    )
    for axes, (colors, low, label) in zip(figure.subplots(2), bars):
        palette = matplotlib.colormaps[colors]
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=palette, aspect="auto", extent=(low, 1, 0, 1))
        axes.set(xticks=np.linspace(low, 1, 5), yticks=[], xlabel=label)
        axes.tick_params(labelsize=8)
        axes.spines[:].set_visible(False)
    return figure


def lime_parts(target: AuditTarget, image: torch.Tensor, classes: Sequence[int], seed: int) -> list[Part]:
    """LIME's five panels for each of the classes, from the same samples.

    Raises:
        AuditError: `lime` is not installed, or the image cannot be cut into superpixels.
    """
    from cnnaudit.attribution import lime_explanation, lime_panels
    from cnnaudit.attribution.figures import TITLES

    found = lime_explanation(
        target.model,
        image.to(target.device),
        list(classes),
        samples=LIME_SAMPLES,
        segmentation="quickshift" if min(image.shape[1:]) >= 64 else "slic",
        seed=seed,
    )
    parts: list[Part] = []
    for k, (index, probability, fit) in enumerate(zip(found.classes, found.probabilities, found.fit)):
        panels = np.moveaxis(lime_panels(image, found, index), -1, 1)
        reached = bool(np.abs(found.weights[k]).max() >= 0.1)
        titles = [*TITLES[:-1], TITLES[-1] if reached else f"{TITLES[-1]}: no superpixel reaches it"]
        title = f"{target.classes[index]}: probability {probability:.3f}, the linear fit explains {fit:.0%}"
        parts.append(images(title, panels, titles))
    return parts


def occlusion_parts(target: AuditTarget, image: torch.Tensor, class_index: int) -> list[Part]:
    """What the class loses, and which class is the most likely, with a window of the image hidden.

    Raises:
        AuditError: the image is too small for windows.
    """
    from cnnaudit.attribution._occlusion import occlusion_maps

    window = tuple(max(1, side // WINDOWS) for side in image.shape[1:])
    stride = tuple(max(1, side // 2) for side in window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it computes what a window leaves alone, too
        maps = occlusion_maps(
            target.model,
            image[None].to(target.device),
            class_index,
            window=(window[0], window[1]),
            stride=(stride[0], stride[1]),
        )
    own = float(maps.own_probability[0])
    lost = own - maps.heat[0].cpu().numpy()
    heat = Drawing(
        f"What of the probability {own:.3f} is lost with a window of {window[0]} x {window[1]} hidden there",
        lambda: _signed(lost, "probability lost"),
        "Orange: the class loses, so what is hidden speaks for it. Purple: it gains.",
    )
    likely = maps.likely_image[0].cpu().numpy()
    title = "The most likely class with a window hidden there"
    if len(np.unique(likely)) == 1:
        return [heat, table(title, ["window", "class"], [["anywhere", target.classes[int(likely[0, 0])]]])]
    return [heat, Drawing(title, lambda: _likely(likely, target))]


def _signed(values: np.ndarray, label: str) -> Figure:
    """A map with 0 in the middle of its scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3.2))
    axes = figure.subplots()
    bound = float(np.abs(values).max()) or 1.0
    shown = axes.imshow(values, cmap=SIGNED_COLORS, vmin=-bound, vmax=bound, interpolation="nearest")
    axes.set(xlabel="column of the image", ylabel="row of the image")
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label=label, shrink=0.9).outline.set_visible(False)
    return figure


def _likely(plane: np.ndarray, target: AuditTarget) -> Figure:
    """Each pixel in the color of its class; the most frequent classes are named."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    found, counts = np.unique(plane, return_counts=True)
    ranked = found[np.argsort(-counts, kind="stable")]
    palette = matplotlib.colormaps["tab10"]
    colors = np.array([palette(k)[:3] if k < 7 else (0.75, 0.75, 0.75) for k in range(len(ranked))])
    places = np.searchsorted(found, plane)
    figure = Figure(figsize=(4, 3.2 + 0.18 * min(len(ranked), 8) / 2))
    axes = figure.subplots()
    order = np.empty(len(ranked), dtype=int)
    order[np.searchsorted(found, ranked)] = np.arange(len(ranked))
    axes.imshow(colors[order[places]], interpolation="nearest")
    axes.set(xlabel="column of the image", ylabel="row of the image")
    handles: list[Any] = [Patch(color=tuple(c), label=target.classes[int(k)][:24]) for c, k in zip(colors[:7], ranked)]
    if len(ranked) > 7:
        handles.append(Patch(color=(0.75, 0.75, 0.75), label=f"{len(ranked) - 7} others"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def picture(title: str, image: torch.Tensor, caption: str) -> Evidence:
    """One image in color."""
    return images(title, _color(image)[None], [caption])


def _color(image: torch.Tensor) -> np.ndarray:
    """(1 or 3, H, W) as (3, H, W)."""
    array: np.ndarray = image.detach().cpu().double().numpy()
    return np.repeat(array, 3 // len(array), axis=0)
