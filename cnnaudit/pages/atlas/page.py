"""The page of one layer of an atlas: a card per unit."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import number, plural

if TYPE_CHECKING:
    from cnnaudit.pages.atlas import LayerAtlas, Optima, Plan, Snapshots
    from cnnaudit.target import AuditTarget

MANY = 256  # units of a page from which on pictures are stored smaller
LIKE = "Four images of the data"
WORDS = {"Most": "best", "Least": "weakest"}


def page(target: AuditTarget, plan: Plan, found: LayerAtlas, series: Mapping[str, Snapshots] | None = None) -> str:
    """The page as HTML. One script sorts and searches; its hash is the only one that the page allows."""
    from markupsafe import Markup

    from cnnaudit.report.html import templates

    environment = templates()
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "atlas.js")[0].strip()
    ranked = ranking(found)
    silent = [place for place in ranked if is_silent(found, place)]
    cards = _cards(target, plan, found, [place for place in ranked if place not in set(silent)])
    return environment.get_template("atlas.html.j2").render(
        title=f"Layer {found.layer}",
        target=target.name,
        lead=_lead(found, len(silent)),
        text=_text(target, plan, found),
        others=_others(plan, found) if len(plan.layers) > 1 else (),
        units=cards,
        minimum=found.minimum is not None,
        silent=[f"unit {found.units[place]}: {_natural_words(found, place)}" for place in silent],
        silent_text=_SILENT,
        series=[_series(kind, snapshots) for kind, snapshots in (series or {}).items()],
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


_SILENT = (
    "Nothing that was tried moves these units: no step uphill from gray, from noise, or from the image of the data "
    "that activates them most. After a ReLU that happens to units that are 0 there; the call before the ReLU still "
    "has a gradient. A unit that is 0 on all images of the data too is dead weight."
)


def ranking(found: LayerAtlas) -> list[int]:
    """The places of the units, the largest optimum in terms of the best image first, then by number."""
    ratios = [ratio(found, place) for place in range(len(found.units))]
    return sorted(range(len(ratios)), key=lambda k: (-(ratios[k] or -np.inf), found.units[k]))


def ratio(found: LayerAtlas, place: int) -> float | None:
    """The optimum over the largest activation on the data; None where that is not above 0."""
    best = float(found.exemplars.high[found.units[place], 0])
    return float(found.maximum.height[place]) / best if best > 0 else None


def is_silent(found: LayerAtlas, place: int) -> bool:
    """Whether the unit has no image: nothing moved it, or it stayed at 0 in a layer that never falls below."""
    return bool(found.maximum.dead[place]) or (found.minimum is None and float(found.maximum.height[place]) <= 0)


def _lead(found: LayerAtlas, silent: int) -> str:
    best = found.exemplars.high[list(found.units), 0]
    moved = [place for place in range(len(found.units)) if not is_silent(found, place)]
    above = sum(float(found.maximum.height[place]) > best[place] for place in moved)
    ratios = [r for place in moved if (r := ratio(found, place)) is not None]
    whole = "all" if len(found.units) == found.total > 1 else f"{len(found.units)} of"
    text = (
        f"What drives {whole} {plural(found.total, 'unit')} of this layer. Optimized images activate {above} of "
        f"{len(moved)} more than any of {plural(int(found.exemplars.n), f'{found.split} image')} does"
    )
    text += f", {number(float(np.median(ratios)))} times as much in the median." if ratios else "."
    natural = sum(found.maximum.began[place] == "natural" for place in moved)
    if natural:
        text += f" {plural(natural, 'unit')} could only be started by an image of the data, and {_is(natural)} marked."
    return text + (f" {plural(silent, 'unit')} could not be moved." if silent else "")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _text(target: AuditTarget, plan: Plan, found: LayerAtlas) -> list[str]:
    settings = plan.settings
    height, width = (int(side) for side in found.exemplars.size)
    measure = (
        "The activation of an image is the mean of the unit's map"
        if settings.goal == "channel"
        else "The activation of an optimized image is the value in the middle of the unit's map, that of an image of "
        "the data the largest value of its map (of the least activation the smallest)"
    )
    cut = " The optimized image is cut to the same window." if _is_cut(plan, found) else ""
    seen = (
        "an orange frame holds the pixels that the place of the map in question can see."
        if found.fields is not None
        else "what it sees of them is not known, since the values pass through a function whose reach is not known."
    )
    paragraphs = [
        "Each card is one unit, a feature map of the layer. On the left is an image that was made from noise, step by "
        "step, so that the unit answers as strongly as possible: what it looks for, exaggerated. On the right are the "
        f"four of {plural(int(found.exemplars.n), f'{found.split} image')} that activate it most; {seen}{cut} Both "
        "together tell most: people predict what a unit does better from images of the data than from optimized ones.",
        f"{measure}. Start is the image that the ascent began with: gray with a little noise, or "
        "where that does not move the unit, the best image. "
        f"Images of the data have {_by(target.input.size)} pixels, which gives maps of "
        f"{height} x {width}; optimized ones have {_by(settings.shape[1:])}.",
    ]
    if found.minimum is None:
        where = f"; name {found.before} with --layers to see what the unit is driven down by" if found.before else ""
        paragraphs.append(f"The layer never falls below 0 on the data, so there is no minimum to show{where}.")
    else:
        paragraphs.append("The second row is the same for the least activation: what the unit is driven down by.")
    steps = int(found.maximum.steps.max(initial=0))
    paragraphs.append(
        f"Recipe {settings.recipe}, up to {plural(steps, 'step')}, {settings.dtype}, seed {settings.seed}. "
        "Sources: Erhan et al. 2009; Olah et al. 2017; Borowski et al. 2021 (arXiv 2010.12606)."
    )
    return paragraphs


def _is_cut(plan: Plan, found: LayerAtlas) -> bool:
    """Whether optimized images are shown in part."""
    from cnnaudit.pages.atlas.pictures import window

    return window(found.maximum.images[0], found.middle).width < max(plan.settings.shape[1:])


def _by(size: Sequence[int]) -> str:
    return " x ".join(str(int(side)) for side in size)


def _others(plan: Plan, found: LayerAtlas) -> list[dict[str, str]]:
    """The pages of the layers that were asked for together."""
    return [
        {"name": layer, "href": "" if layer == found.layer else f"{folder_name(layer)}.html"} for layer in plan.layers
    ]


def _cards(target: AuditTarget, plan: Plan, found: LayerAtlas, places: Sequence[int]) -> list[dict[str, Any]]:
    pictures = _Pictures(target, found, smaller=len(places) > MANY)
    return [_card(plan, found, place, pictures) for place in places]


def _card(plan: Plan, found: LayerAtlas, place: int, pictures: _Pictures) -> dict[str, Any]:
    unit, gap = found.units[place], ratio(found, place)
    high = _row(found, found.maximum, place, "Most", found.exemplars.high[unit], pictures.high(unit))
    rows = [high]
    if found.minimum is not None:
        low = _row(found, found.minimum, place, "Least", found.exemplars.low[unit], pictures.low(unit))
        rows.append(low)
    return {
        "number": unit,
        "ratio": "" if gap is None else f"{gap:.6g}",
        "optimum": f"{float(found.maximum.height[place]):.6g}",
        "natural": f"{float(found.exemplars.high[unit, 0]):.6g}",
        "start": f"{float(found.maximum.start[place]):.6g}",
        "words": " ".join(str(row["seen"]) for row in rows).lower(),
        "gap": "" if gap is None else f"{number(gap)} x the best image",
        "rows": rows,
    }


def _row(
    found: LayerAtlas, optima: Optima, place: int, title: str, natural: np.ndarray, shown: Mapping[str, str]
) -> dict[str, Any]:
    from cnnaudit.pages.atlas.pictures import SMALL, frame, uri, window

    unit, image = int(optima.units[place]), window(optima.images[place], found.middle)
    start, height = (number(float(values[place])) for values in (optima.start, optima.height))
    return {
        "title": f"{title} activation" + _beginning(optima, place),
        "optimum": uri(image, int(shown["side"])),
        "pixels": image.width <= SMALL,
        "frame": frame(optima.images.shape[2:], found.middle),
        "alt": f"Optimized image of unit {unit}, {title.lower()} activation",
        "natural": shown["natural"],
        "natural_alt": f"{LIKE}: {shown['seen']}",
        "seen": shown["seen"],
        "numbers": f"start {start}, {WORDS[title]} image {number(float(natural[0]))}, optimum {height}",
    }


def _beginning(optima: Optima, place: int) -> str:
    """What must be known of an optimized image before it is taken for what the unit looks for."""
    if optima.dead[place]:
        return " (not moved: the image it began with)"
    if optima.began[place] == "natural":
        return " (begun with the best image: no noise moves this unit, so it shows that image, changed)"
    if optima.began[place] == "better image":
        return " (from the best image, which led higher than noise)"
    return ""


class _Pictures:
    """The natural exemplars of units, their images read once."""

    def __init__(self, target: AuditTarget, found: LayerAtlas, smaller: bool) -> None:
        self._target, self._found, self._side = target, found, 96 if smaller else 128
        self._split = target.split(found.split)
        self._read: dict[int, np.ndarray] = {}

    def high(self, unit: int) -> dict[str, str]:
        """The images that activate the unit most."""
        natural = self._found.exemplars
        return self._sheet(unit, natural.high_images[unit], natural.high_places[unit])

    def low(self, unit: int) -> dict[str, str]:
        """The images that activate it least."""
        natural = self._found.exemplars
        return self._sheet(unit, natural.low_images[unit], natural.low_places[unit])

    def _sheet(self, unit: int, images: np.ndarray, places: np.ndarray) -> dict[str, str]:
        from cnnaudit.pages.atlas.pictures import patch, sheet, uri

        fields, indices = self._found.fields, [int(self._found.sample[k]) for k in images]
        patches = [
            patch(self._pixels(index), None if fields is None else fields.box((int(row), int(column)), unit))
            for index, (row, column) in zip(indices, places)
        ]
        labels = [self._target.classes[int(self._split.labels[index])] for index in indices]
        return {"natural": uri(sheet(patches), self._side), "seen": ", ".join(labels), "side": str(self._side)}

    def _pixels(self, index: int) -> np.ndarray:
        if index not in self._read:
            image = self._split.read(np.array([index]))[0]
            self._read[index] = (image * 255).round().byte().cpu().numpy()
        return self._read[index]


def _natural_words(found: LayerAtlas, place: int) -> str:
    best = float(found.exemplars.high[found.units[place], 0])
    return f"{number(best)} on the image of the data that activates it most"


_SERIES = {
    "training": ("Learned during training", "The maximum images of the same units with the weights of several moments "
                 "of the training, from the same first images: "),
    "steps": ("Step by step", "The maximum images of the first units after ever more steps of the optimization, from "
              "the same first images: "),
    "families": ("By families of regularizers", "The maximum images of the first units by each recipe, which differ in "
                 "what keeps the image from becoming noise: "),
    "diversity": ("Different images", "Images of the first units that were kept from being alike (by the Gram matrices "
                  "of the layer's maps): "),
    "interaction": ("Two units together", "The sum of two units maximized, a row and a column for each of the first "
                    "units; with itself, it is the unit alone: "),
}  # fmt: skip


def _series(kind: str, found: Snapshots) -> dict[str, str]:
    from cnnaudit.pages.atlas.pictures import animation, inlined, side_by_side, strip

    names = ", ".join(found.names)
    title, text = _SERIES[kind]
    return {
        "title": title,
        "text": f"{text}{names}.",
        "alt": f"Optimized images, for each of {names}",
        "strip": inlined(strip(found) if kind == "training" else side_by_side(found)),
        "animation": inlined(animation(found)) if kind in ("training", "steps") else "",
    }
