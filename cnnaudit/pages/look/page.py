"""Everything that can be seen of one image's way through a model, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import AuditError
from cnnaudit.core.evidence import bars, table
from cnnaudit.core.wording import nearest
from cnnaudit.pages.document import Drawing, Part, Section, write_document
from cnnaudit.pages.look.image import Seen, by, see
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import listed, plural

if TYPE_CHECKING:
    import torch

    from cnnaudit.activation import Box
    from cnnaudit.interventions import Call
    from cnnaudit.pages.look.trust import Trust
    from cnnaudit.target import AuditTarget

LAYERS = 6
MAPS = 24
CANDIDATES = 60  # images among which those are sought that activate a unit most
TOP = 6


@dataclass(frozen=True)
class Options:
    """What `look` is asked for; the names are those of the command's options."""

    output: Path | None = None
    layers: tuple[str, ...] = ()
    class_name: str | None = None
    report: Path = Path("reports")
    fidelity: bool = True
    seed: int = 0


def look(target: AuditTarget, image: str | Path, options: Options = Options()) -> Path:
    """Write the page of one image: prediction, attributions with their verdicts, LIME, occlusion, layers, operations.

    Args:
        image: a file, or `validation[17]` for an image of the target's own data.

    Raises:
        DataError: the image cannot be read; the message names it.
        AuditError: the class or a layer does not exist; the nearest is named.
    """
    from cnnaudit.pages.look.trust import trust

    seen = see(target, image)
    class_index = _class(target, options.class_name)
    probabilities = target.logits(seen.pixels[None]).double().softmax(1)[0].numpy()
    ranked = np.argsort(-probabilities, kind="stable")
    explained = int(ranked[0]) if class_index is None else class_index
    layers = _layers(target, seen.pixels, options.layers)
    trusted = trust(target, options.report, options.fidelity)
    lead = (
        f"{target.name} takes {seen.name} for {target.classes[ranked[0]]}, with a probability of "
        f"{probabilities[ranked[0]]:.3f}. This page shows what in the image and in the layers leads there, and which "
        "of the pictures can be trusted."
    )
    sections = [
        _prediction(target, seen, probabilities, ranked),
        _attributions(target, seen, explained, trusted, options.seed),
        _lime(target, seen, (explained, int(ranked[0] if explained != ranked[0] else ranked[1])), options.seed),
        _occlusion(target, seen, explained),
        *_activations(target, seen, layers),
        _operations(seen, options.seed),
    ]
    path = (
        options.output or options.report / folder_name(target.name) / f"look-{folder_name(Path(seen.name).stem)}.html"
    )
    return write_document(path, f"{seen.name} seen by {target.name}", lead, sections, "a look at one image")


def _class(target: AuditTarget, name: str | None) -> int | None:
    """The number of the class that is asked for."""
    if name is None or name in target.classes:
        return None if name is None else target.classes.index(name)
    raise AuditError(f"--class {name!r}: {target.name} has no such class{nearest(name, target.classes)}")


def _layers(target: AuditTarget, pixels: torch.Tensor, asked: tuple[str, ...]) -> dict[str, torch.Tensor] | str:
    """The maps (units, h, w) of the layers to show by name, or why there are none.

    All layers where there are few, else activations and poolings in equal steps through the model.
    """
    from cnnaudit.activation import feature_maps, spatial_layers
    from cnnaudit.core.errors import UnsupportedError
    from cnnaudit.interventions.op_types import ACTIVATIONS

    if not target.inside:
        return target.inside_reason or "the model's inside cannot be observed"
    batch = pixels[None].to(target.device)
    if asked:
        return {name: maps[0] for name, maps in feature_maps(target.model, batch, asked).items()}

    def telling(call: Call) -> bool:
        return (call.kind in ACTIVATIONS or "pool" in call.kind) and min(call.output_shape[-2:]) > 1

    try:
        every = spatial_layers(target.model, batch)
        some = every if len(every) <= LAYERS else [call for call in every if telling(call)] or every
        steps = np.unique(np.linspace(0, len(some) - 1, min(len(some), LAYERS)).round().astype(int))
        names = [some[k].name for k in steps]
        return {name: maps[0] for name, maps in feature_maps(target.model, batch, names).items()}
    except UnsupportedError as reason:
        return str(reason)


def _prediction(target: AuditTarget, seen: Seen, probabilities: np.ndarray, ranked: np.ndarray) -> Section:
    from cnnaudit.pages.look.pictures import picture

    top = {target.classes[k]: float(f"{probabilities[k]:.4g}") for k in ranked[:5]}
    shown = picture("As the model sees it", seen.pixels, f"{by(seen.pixels.shape[1:])} pixels")
    title = "The most likely classes" if len(probabilities) > 5 else "The classes"
    return Section("The image and the answer", [seen.story], [shown, bars(title, top, label="probability")])


def _attributions(target: AuditTarget, seen: Seen, class_index: int, trusted: Trust, seed: int) -> Section:
    from cnnaudit.attribution.methods import METHODS
    from cnnaudit.pages.look.pictures import attributions, side_by_side

    gallery = attributions(target, seen.pixels, class_index, seed)
    methods = {name: method.title for name, method in METHODS.items() if not method.baseline}
    missing = [[METHODS[name].title, reason] for name, reason in gallery.missing.items()]
    text = [
        f"Each method's answer to the question what in the image speaks for {target.classes[class_index]} (orange) and "
        "what against it (purple), or how much each pixel counts (blue to yellow). A picture that looks like the edge "
        "detector's may show the image rather than the model.",
        trusted.source,
        *trusted.general(),
    ]
    parts = [
        *side_by_side(seen.pixels, gallery, trusted),
        *([table("Not drawn", ["method", "reason"], missing)] if missing else []),
        *trusted.table(methods),
    ]
    return Section(f"What speaks for {target.classes[class_index]}", text, parts)


def _lime(target: AuditTarget, seen: Seen, classes: tuple[int, int], seed: int) -> Section:
    from cnnaudit.pages.look.pictures import LIME_SAMPLES, lime_parts

    names = listed([target.classes[k] for k in classes])
    text = [
        f"Superpixels of the image are hidden at random, {LIME_SAMPLES} times, and a linear model is fitted to the "
        f"probabilities of {names}. Green speaks for the class, red against it."
    ]
    try:
        return Section("LIME: two classes compared", text, lime_parts(target, seen.pixels, classes, seed))
    except AuditError as reason:
        return Section("LIME: two classes compared", [f"Not shown: {reason}"])


def _occlusion(target: AuditTarget, seen: Seen, class_index: int) -> Section:
    from cnnaudit.pages.look.pictures import occlusion_parts

    name = target.classes[class_index]
    text = [f"A gray window is laid over the image, place by place: where {name} loses probability, the model looked."]
    try:
        return Section("Occlusion", text, occlusion_parts(target, seen.pixels, class_index))
    except AuditError as reason:
        return Section("Occlusion", [f"Not shown: {reason}"])


def _activations(target: AuditTarget, seen: Seen, layers: dict[str, torch.Tensor] | str) -> list[Section]:
    """The grids of the layers, and the strongest unit of the last one."""
    if isinstance(layers, str):
        return [Section("The layers", [f"Not shown: {layers}."])]
    from cnnaudit.activation import draw_feature_maps, spatial_layers

    kinds = {call.name: call.kind for call in spatial_layers(target.model, seen.pixels[None].to(target.device))}

    def grid(name: str, maps: torch.Tensor) -> Drawing:
        kind = kinds.get(name, "")
        title = name if not kind or kind in name else f"{name} ({kind})"
        return Drawing(title, lambda: draw_feature_maps(maps, most=MAPS, columns=6, width=4))

    text = [
        f"The feature maps of {plural(len(layers), 'layer')}, from the image to the answer, each layer on its own "
        f"scale. Of many maps the {MAPS} strongest are shown; the frame is around the one with the largest value; a "
        "crossed-out map is 0 everywhere in this image. Choose others with --layers."
    ]
    sections = [Section("The layers", text, [grid(name, maps) for name, maps in layers.items()])]
    return [*sections, *_unit(target, seen, layers)]


def _unit(target: AuditTarget, seen: Seen, layers: dict[str, torch.Tensor]) -> list[Section]:
    """What the strongest unit of a layer sees here, and in the images of the target that activate it most.

    The layer is the last one whose units see less than half of the image.
    """
    from cnnaudit.activation import outlined, top_images
    from cnnaudit.core.evidence import images

    found = _patch(target, seen, layers)
    if found is None:
        return []
    layer, unit, box = found
    strongest = float(layers[layer].max())
    pictures, captions = [outlined(seen.pixels, box)], [f"this image: {strongest:.3g}"]
    split = next((name for name in ("validation", "train") if name in target.splits), None)
    if split:
        indices = target.draw(split, CANDIDATES)
        candidates = target.split(split).read(indices)
        for top in top_images(target.model, candidates.to(target.device), layer, unit, TOP):
            index = int(indices[top.index])
            label = target.classes[int(target.split(split).labels[index])]
            pictures.append(outlined(candidates[top.index], top.box))
            captions.append(f"{split}[{index}], {label}: {top.value:.3g}")
    text = [
        f"Unit {unit} of layer {layer} has the layer's largest value in this image. The frame holds the pixels that "
        f"the unit can see there, {by(box.size)} of {by(seen.pixels.shape[1:])}."
        + (f" Beside it the {TOP} of {len(indices)} {split} images that activate it most." if split else "")
    ]
    return [
        Section(f"What unit {unit} of {layer} sees", text, [images("Its largest values", np.stack(pictures), captions)])
    ]


def _patch(target: AuditTarget, seen: Seen, layers: dict[str, torch.Tensor]) -> tuple[str, int, Box] | None:
    """Layer, strongest unit and what it sees; None where no layer's reach is known and smaller than half the image."""
    from cnnaudit.activation import receptive_field
    from cnnaudit.core.errors import UnsupportedError

    channels, height, width = (int(side) for side in seen.pixels.shape)
    for layer, maps in reversed(layers.items()):
        unit, row, column = (int(k) for k in np.unravel_index(int(maps.argmax()), maps.shape))
        try:
            box = receptive_field(target.model, layer, (channels, height, width), (row, column), unit)
        except UnsupportedError:
            continue
        if 0 < box.size[0] * box.size[1] < height * width / 2:
            return layer, unit, box
    return None


def _operations(seen: Seen, seed: int) -> Section:
    """One random convolution, ReLU and pooling on the image."""
    from cnnaudit.activation import draw_feature_maps, effects

    text = [
        "What one layer does before any training: three random 3 x 3 filters, and a ReLU or a 2 x 2 max pooling behind "
        "them. What these pictures share with those of the trained layers above was not learned."
    ]

    def drawing(name: str, maps: torch.Tensor) -> Drawing:
        return Drawing(name, lambda: draw_feature_maps(maps, columns=3, width=4))

    try:
        parts: list[Part] = [drawing(name, maps) for name, maps in effects(seen.pixels, seed=seed).items()]
    except AuditError as reason:
        return Section("Single operations", [f"Not shown: {reason}."])
    return Section("Single operations", text, parts)
