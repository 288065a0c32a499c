"""The files of an embedding: the page, its picture, its animation over the training and its table."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.embedding.maps import METHODS
from cnnaudit.pages.output import write
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import listed, plural

if TYPE_CHECKING:
    import torch

    from cnnaudit.pages.embed.maps import Maps, Options
    from cnnaudit.target import AuditTarget


def write_embedding(target: AuditTarget, options: Options, output: Path) -> list[Path]:
    """Write `<output>/<target>/embed/index.html`, `maps.png`, `maps.csv` and, with checkpoints, `training.gif`.

    Raises:
        AuditError: as `maps_of` does; a file that cannot be written.
    """
    from cnnaudit.pages.embed.maps import maps_of
    from cnnaudit.pages.embed.pictures import animation, picture

    found, images = maps_of(target, options)
    folder = output / folder_name(target.name) / "embed"
    files: dict[Path, str | bytes] = {
        folder / "index.html": page(target.name, found, images, options),
        folder / "maps.png": picture(found),
        folder / "maps.csv": found.to_frame().to_csv(index=False, float_format="%.5g"),
    }
    if len(found.moments) > 1:
        files[folder / "training.gif"] = animation(found)
    write(files)
    return list(files)


def page(name: str, found: Maps, images: torch.Tensor, options: Options) -> str:
    """The page as HTML. One script draws; its hash is the only one that the page allows."""
    from markupsafe import Markup

    from cnnaudit.pages.embed.packed import packed
    from cnnaudit.report.html import templates

    environment = templates()
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "embed.js")[0].strip()
    return environment.get_template("embed.html.j2").render(
        title=f"{name}: {plural(len(found.labels), 'image')} by {listed(list(found.layers))}",
        lead=_lead(found),
        text=_text(found, options),
        columns=["layer", "map", "moment", "trustworthiness", "neighbors of the same class", "mistakes"],
        rows=_rows(found),
        notes=_NOTES,
        data=packed(found, images),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


_NOTES = (
    "Trustworthiness is measured on at most 1,000 of the images with 12 neighbors (Venna and Kaski 2001): 1 where no "
    "image has neighbors on the map that are far away in the layer, about .5 for places drawn at random.",
    "Sizes of groups and distances between groups mean little on maps by t-SNE and UMAP. Nearest images are by "
    "distance between the layer's own values, reduced to 50 principal components, so they do not depend on the map.",
)


def _lead(found: Maps) -> str:
    """What was found, in a sentence or two."""
    first, last = found.layers[0], found.layers[-1]
    wrong = int((found.predicted[-1] != found.labels).sum())
    told = f"Of the nearest images of an image {found.purity[first][-1]:.0%} are of its class in {first}"
    if last != first:
        told += f", {found.purity[last][-1]:.0%} in {last}"
    if len(found.moments) > 1:
        told += f" (at {found.moments[0]} {found.purity[last][0]:.0%} in {last})"
    return f"{told}. {plural(wrong, 'image')} of {len(found.labels):,} {'is' if wrong == 1 else 'are'} misclassified."


def _text(found: Maps, options: Options) -> list[str]:
    used = listed([METHODS[method] for method in options.methods])
    settings = f"perplexity {options.perplexity:g}, {options.iterations:,} iterations, " * ("tsne" in options.methods)
    training = (
        " Each map of the training starts from the one before and is turned to lie on it, so that a point that moves "
        "has changed its neighbors."
        if len(found.moments) > 1
        else ""
    )
    return [
        f"Each dot is an image of {found.split}; images to which a layer answers alike lie close together. "
        f"A cross marks a mistake. Pointing at a dot shows its image, here and in all maps at once.{training}",
        f"Maps by {used} ({settings}seed {options.seed}) of the layer's values, reduced to 50 principal components.",
    ]


def _rows(found: Maps) -> list[list[str]]:
    rows = []
    for one in found.maps:
        for k, moment in enumerate(found.moments):
            wrong = int((found.predicted[k] != found.labels).sum())
            trust, pure = f"{one.trust[k]:.3f}", f"{found.purity[one.layer][k]:.1%}"
            rows.append([one.layer, METHODS[one.method], moment, trust, pure, f"{wrong:,} of {len(found.labels):,}"])
    return rows
