"""The page that reads a small model: its features, its filter, and what they say of the data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.embedding.elbow import RULES
from cnnaudit.pages.document import Drawing, Part, Section, write_document
from cnnaudit.pages.read import figures, maps, words
from cnnaudit.reading.reading import read
from cnnaudit.reading.results import Reading
from cnnaudit.report.paths import folder_name

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

_ROWS = 16
_CLUSTERS = "Numbers: the centroids, by size. Colors: the class that most images of a cluster have."
_PREPARATION = {"add", "contiguous", "div", "mul", "sub", "to"}  # of the pixels, before the network itself


def write_reading(target: AuditTarget, folder: Path, layer: str | None = None, seed: int = 0) -> Path:
    """Read a target's model and write `<folder>/<target>/reading.html`; returns its path.

    Args:
        layer: whose output to take for features; None: what the first linear layer with few inputs reads.

    Raises:
        AuditError: the model has too many features, or cannot be read (see `cnnaudit.reading.reading.read`).
        OutputError: the file cannot be written; the message says where the page is kept.
    """
    reading = read(target, layer, seed)
    path = folder / folder_name(target.name) / "reading.html"
    return write_document(path, target.name, words.lead(reading), sections(reading), eyebrow="Reading a small model")


def sections(reading: Reading) -> list[Section]:
    """The page's sections; what cannot be drawn is left out, and the text says why."""
    return [
        Section("The model", words.model(reading), [_layers(reading)]),
        Section("Its features, class by class", words.features(reading), _features(reading)),
        Section("Decision trees", words.trees(reading), _trees(reading)),
        Section("Principal components", words.components(reading), _components(reading)),
        Section("Clusters", words.clusters(reading), _clusters(reading)),
        Section("Where the features are found", words.pixels(reading), _places(reading)),
        Section(*_filter_text(reading), _filters(reading)),
        Section("Other learners on the same features", words.learners(reading), _learners(reading)),
    ]


def _layers(reading: Reading) -> Part:
    rows = [
        [name, kind, " x ".join(map(str, shape)), count]
        for name, kind, shape, count in reading.layers
        if not (name.startswith("/") and kind in _PREPARATION)
    ]
    return evidence.table("Its layers", ["layer", "what it does", "gives", "parameters"], rows)


def _features(reading: Reading) -> list[Part]:
    few = len(figures.shown_features(reading)) < reading.place.size
    caption = (
        "Boxes hold the middle half of a class's images, the line is their median; whiskers reach to the outermost "
        "image within 1.5 boxes."
    )
    if reading.place.grid is not None and reading.place.grid[0] == 1 and reading.place.size > 1:
        caption += " Each panel stands where its cell lies in the image."
    if few:
        caption += f" The {figures.PANELS} features in which classes differ most, of {reading.place.size}."
    wide = reading.place.size > 4
    return [Drawing("Features by class", partial(figures.boxplots, reading), caption, wide=wide), _numbers(reading)]


def _numbers(reading: Reading) -> Part:
    """The median and the middle half of each feature in each class."""
    rows = []
    for feature in figures.shown_features(reading):
        cells = [f"{b.median:.3g} ({b.q25:.3g} to {b.q75:.3g})" if b else "" for b in reading.boxes[feature]]
        rows.append([reading.names[feature], *cells])
    title = "Median (and middle half) by class"
    return evidence.table(title, ["feature", *reading.images.classes], rows)


def _trees(reading: Reading) -> list[Part]:
    shown: list[Part] = []
    pairs = ((reading.tree, "On the network's features"), (reading.hand_made, "On hand-made features"))
    for tree, title in pairs:
        if tree is not None:
            caption = f"{words.tree_caption(tree, reading.images.classes)} Bars: the images that come to each answer."
            paint = partial(figures.tree_drawing, tree, reading.images.classes)
            shown.append(Drawing(title, paint, caption, wide=True))
    return shown


def _components(reading: Reading) -> list[Part]:
    if reading.place.size == 1 or not reading.components.shares.any():
        return []
    some = f"{min(figures.POINTS, len(reading.features)):,} of {len(reading.features):,} images."
    shown: list[Part] = [Drawing("By class", partial(figures.components, reading, False), some)]
    if reading.images.both:
        title = "By class and background"
        shown.append(Drawing(title, partial(figures.components, reading, True), f"{some} Hollow: on black."))
    return shown


def _clusters(reading: Reading) -> list[Part]:
    shown: list[Part] = []
    if reading.elbow is not None:
        caption = "The dashed line is the chord of the first rule; circles mark what each rule says."
        shown.append(Drawing("Inertia by number of clusters", partial(figures.elbow_curve, reading), caption))
    found = reading.clusters
    if found is not None:
        shown.append(Drawing("The clusters", partial(figures.clusters, reading), _CLUSTERS))
        pictures = found.means[:, :3] if found.means.shape[1] >= 3 else found.means[:, :1]
        captions = [words.cluster_caption(reading, k) for k in range(len(pictures))]
        shown.append(evidence.images("Centroids as the mean image of each cluster", pictures, captions))
        shown.append(_contents(reading))
    if reading.elbow is not None:
        again = reading.elbow_again or []
        rows = [
            [rule, RULES[rule], _says(k), ", ".join(_says(other.chosen[rule]) for other in again)]
            for rule, k in reading.elbow.chosen.items()
        ]
        columns = ["rule", "it takes k where", "k", "in three smaller samples"]
        shown.append(evidence.table("How many clusters, by each rule", columns, rows))
    return shown


def _says(k: int | None) -> str:
    """A rule's number of clusters."""
    return "none" if k is None else str(k)


def _contents(reading: Reading) -> Part:
    assert reading.clusters is not None
    groups, found = reading.images.examples[:_ROWS], reading.clusters.found
    rows = [
        [k + 1, *(int(((found.labels == k) & (reading.images.groups == group)).sum()) for group in groups)]
        for k in range(len(found.centers))
    ]
    columns = ["#", *(reading.images.group_names[group] for group in groups)]
    return evidence.table("Images in each cluster", columns, rows)


def _places(reading: Reading) -> list[Part]:
    shown: list[Part] = []
    if reading.maps is not None:
        caption = "Of each group the image whose features are nearest to its mean."
        if reading.maps.shape[1] > 1:
            caption += f" The map is the largest of {reading.maps.shape[1]} filters at each pixel."
        if reading.pixels is not None:
            caption += " Squares: the pixel of maximum activation of each cell, red strong, blue weak."
        wide = len(reading.typical) > 3
        shown.append(Drawing("Feature maps", partial(maps.examples, reading), caption, wide=wide))
    if reading.pixels is not None:
        caption = "How often a pixel is the maximum of its cell (colors by square root); orange: the most frequent one."
        wide = reading.images.both
        shown.append(Drawing("Pixels of maximum activation", partial(maps.frequencies, reading), caption, wide=wide))
        shown.append(_border(reading))
    return shown


def _border(reading: Reading) -> Part:
    assert reading.pixels is not None
    found, edge = reading.pixels, reading.pixels.at_border()
    white = reading.images.white
    parts = [("", np.ones(len(white), bool))]
    if reading.images.both:
        parts = [(" (white)", white), (" (black)", ~white)]
    columns = ["feature"]
    for name, _ in parts:
        columns += [f"at the border{name}", f"most frequent pixel{name}", f"its share{name}"]
    rows = []
    for k in range(min(reading.place.size, _ROWS)):
        row: list[object] = [reading.names[k]]
        for _, chosen in parts:
            row += [
                _percent(edge[chosen, k].mean()),
                *_most_frequent(found.rows[chosen, k], found.columns[chosen, k]),
            ]
        rows.append(row)
    return evidence.table("Each feature's pixel (row, column)", columns, rows)


def _most_frequent(rows: np.ndarray, columns: np.ndarray) -> Sequence[str]:
    """The most frequent pixel of one feature, and its share of the images."""
    live = rows >= 0
    if not live.any():
        return "none", "0.0%"
    places, counts = np.unique(np.stack([rows[live], columns[live]], 1), axis=0, return_counts=True)
    row, column = places[counts.argmax()] + 1
    return f"{row}, {column}", _percent(counts.max() / len(rows))


def _filter_text(reading: Reading) -> tuple[str, list[str]]:
    if not reading.filters:
        return "The filter", [f"Not drawn: {reading.reasons.get('filters', '')}."]
    title = "The filter" if len(reading.filters) == 1 else f"The first {len(reading.filters)} filters"
    return title, words.filters(reading)


def _filters(reading: Reading) -> list[Part]:
    if not reading.filters:
        return []
    many = len(reading.filters) > 1
    caption = (
        "White squares are weights above 0, black ones below. The arrow points from white to black in the change that "
        "excites the filter most; the longer, the more of the filter is such a slope."
    )
    shown: list[Part] = [
        Drawing(
            f"Weights of {reading.convolution}", partial(maps.filters, reading), caption, wide=len(reading.filters) > 2
        )
    ]
    first = reading.filters[0]
    if not many and first.decomposition is not None:
        caption = (
            "Numbers before the names are weights. Orange: from the median to the 95% point of random filters, found "
            "by the same search; the diamond is their mean."
        )
        shown.append(Drawing("As a mixture of classic filters", partial(maps.mixture, first.decomposition), caption))
    if not many:
        shown.append(
            Drawing("Its answer to an empty image", partial(maps.blanks, reading), "Any pattern is the padding's.")
        )
        if first.decomposition is not None:
            paint = partial(maps.cosines, first.decomposition)
            shown.append(Drawing("Likeness to each classic filter", paint, "1: the same; -1: its opposite."))
    return [*shown, _classic(reading)] if many else shown


def _classic(reading: Reading) -> Part:
    columns = ["#", "wants", "slope's share", "most like", "cosine", "its share", "95% of random"]
    rows: list[list[object]] = []
    for one in reading.filters:
        direction, parts = one.direction, one.decomposition
        row: list[object] = [one.number + 1, direction.words if direction else "all weights 0"]
        row.append(_percent(direction.share) if direction else "")
        if parts is None:
            rows.append([*row, "", "", "", ""])
            continue
        name, cosine = max(parts.cosines.items(), key=lambda item: abs(item[1]))
        best = parts.mixtures[0]
        rows.append([*row, name, f"{cosine:.2f}", _percent(best.share), _percent(best.chance[1])])
    return evidence.table("The filters in words", columns, rows)


def _percent(share: float) -> str:
    """With one decimal."""
    return f"{100 * share:.1f}%"


def _learners(reading: Reading) -> list[Part]:
    if reading.learners is None:
        return []
    caption = "Bars: 95% intervals. All but the network itself are cross-validated on these images."
    return [Drawing("Accuracy", partial(figures.learners, reading), caption)]
