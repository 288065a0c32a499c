"""What a reading found, in plain sentences: every one is made from the measurement."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cnnaudit.reading.results import Reading
from cnnaudit.reading.trees import Tree, cuts
from cnnaudit.report.words import listed, number, plural

_OFTEN = 0.5
_SLIGHT = 0.1


def lead(reading: Reading) -> str:
    """The page in a few sentences."""
    found = reading.accuracies[-1]
    parts = [
        f"{reading.parameters:,} parameters and {plural(reading.place.size, 'feature')} put {_share(found.share)} of "
        f"{found.n:,} {found.split} images into the right one of {len(reading.images.classes)} classes."
    ]
    constant = constant_classes(reading)
    if not reading.features.std(axis=0).any():
        parts.append("Every image gives the very same features: they tell nothing apart.")
    elif constant:
        parts.append(
            f"Every image of {listed(constant)} gives the very same features: to this network it is one image."
        )
    if reading.hand_made is not None and reading.hand_made.accuracy >= found.share - 0.005:
        parts.append(
            f"A tree of {reading.hand_made.root.leaves} leaves on features that anybody could count does as well "
            f"({_share(reading.hand_made.accuracy)})."
        )
    if reading.auc is not None:
        parts.append(
            f"The strongest direction of the features tells white from black backgrounds (AUC {reading.auc[0]:.3f})."
        )
    corner = border_pixel(reading)
    if corner:
        parts.append(corner)
    return " ".join(parts)


def model(reading: Reading) -> list[str]:
    """Size, accuracy, and what the features are."""
    accuracies = [
        f"{_share(a.share)} of {a.n:,} {a.split} images ({_share(a.interval[0])} to {_share(a.interval[1])})"
        for a in reading.accuracies
    ]
    grid, pooling = reading.place.grid, reading.place.pooling
    told = f"Its features are {reading.place.words}: {plural(reading.place.size, 'number')} an image"
    if grid is not None and pooling is not None:
        cells = f"{grid[1]} x {grid[2]} cells" if grid[1] * grid[2] > 1 else "the whole map"
        kind = "largest" if "max" in pooling.kind else "mean"
        told += f", the {kind} activation in {cells} of {plural(grid[0], 'filter')}"
    return [f"The network has {reading.parameters:,} parameters and is right on {listed(accuracies)}.", f"{told}."]


def features(reading: Reading) -> list[str]:
    """Which classes are constant, which background the features prefer."""
    told = []
    for name in constant_classes(reading):
        k = reading.images.classes.index(name)
        box = reading.boxes[0][k]
        assert box is not None
        value = f" ({number(box.median)})" if reading.place.size == 1 else ""
        told.append(f"All {box.n:,} images of {name} give exactly the same features{value}.")
    if reading.images.both and reading.place.size > 1:
        white = reading.images.white
        means = [reading.features[chosen].mean(axis=0) for chosen in (white, ~white)]
        strongest = [reading.names[int(mean.argmax())] for mean in means]
        values = [number(float(mean.max())) for mean in means]
        told.append(
            f"On both backgrounds {strongest[0]} is strongest on average ({values[0]} on white, {values[1]} on black)."
            if strongest[0] == strongest[1]
            else f"On white backgrounds {strongest[0]} is strongest on average ({values[0]}), on black ones "
            f"{strongest[1]} ({values[1]})."
        )
    dead = [name for name, column in zip(reading.names, reading.features.T) if column.std() < 1e-6]
    if dead:
        told.append(f"The same for every image: {listed(dead)}.")
    return told or ["No class is constant."]


def trees(reading: Reading) -> list[str]:
    """The accuracy of both trees, and the cuts of the first."""
    told = []
    own = reading.accuracies[-1].share
    for tree, what in ((reading.tree, "the network's features"), (reading.hand_made, "hand-made features")):
        if tree is not None:
            told.append(
                f"On {what} a decision tree of {tree.root.leaves} leaves is right on "
                f"{_share(tree.accuracy)} of images that it has not seen ({_share(tree.interval[0])} to "
                f"{_share(tree.interval[1])}); the network on {_share(own)}."
            )
    missing = reading.reasons.get("tree")
    return [*told, *([f"No tree: {missing}."] if missing else [])]


def tree_caption(tree: Tree, classes: tuple[str, ...]) -> str:
    """The cuts in words, where they are few."""
    lines = cuts(tree.root, classes)
    return f"{'; '.join(lines).replace('<=', '≤')}." if len(lines) <= 4 else "Follow the questions from the left."


def components(reading: Reading) -> list[str]:
    """Shares of variance, and what the first component tells apart."""
    if reading.place.size == 1:
        return ["One feature is its own component: there is no plane to draw, and its boxplot says it all."]
    shares = reading.components.shares
    told = [
        f"The first two principal components hold {_share(float(shares[0]))} and {_share(float(shares[1]))} of the "
        "features' variance."
    ]
    if reading.auc is not None:
        value, low, high = reading.auc
        told.append(
            f"The first alone puts a random image on white and one on black in the right order with probability "
            f"{value:.3f} ({low:.3f} to {high:.3f}; .5 is chance): the color of the background is "
            + ("the first thing the features say." if low > 0.9 else "not what the first component is about.")
        )
    elif "auc" in reading.reasons:
        told.append(f"Whether it separates backgrounds was not measured: {reading.reasons['auc']}.")
    return told


def clusters(reading: Reading) -> list[str]:
    """What the rules say of the number of clusters, and what the clusters are."""
    told = []
    if reading.elbow is not None:
        again = reading.elbow_again or []
        unsteady = [rule for rule, k in reading.elbow.chosen.items() if any(other.chosen[rule] != k for other in again)]
        verb = "say" if len(unsteady) > 1 else "says"
        swayed = f" In smaller samples of the images {listed(unsteady)} {verb} other numbers." if unsteady else ""
        told.append(f"How many clusters? {reading.elbow.words}{swayed}")
    found = reading.clusters
    if found is None:
        return [*told, f"No clusters: {reading.reasons.get('clusters', '')}."]
    k, spread = len(found.found.centers), f"({found.interval[0]:.2f} to {found.interval[1]:.2f}"
    chance = f"{spread}; p = {number(found.p_value)} for features that know nothing of the class)"
    scale = "adjusted Rand index: 0 is chance, 1 the same groups"
    if not reading.images.both:
        told.append(f"Drawn are {k} clusters, one for each class. They agree with the classes by {found.within:.2f}")
        return [*told[:-1], f"{told[-1]} {chance}, by the {scale}."]
    told.append(
        f"Drawn are {k} clusters, one for each class x background. They agree with these by {found.by_group:.2f} "
        f"({scale}), and with the classes alone by {found.by_class:.2f}."
    )
    return [*told, f"Within each background they agree with the classes by {found.within:.2f} {chance}."]


def pixels(reading: Reading) -> list[str]:
    """Which pixels are maxima, how often at the border."""
    if reading.pixels is None:
        return [f"Not drawn: {reading.reasons.get('pixels', '')}."]
    edge, live = reading.pixels.at_border(), reading.pixels.rows >= 0

    def share(rows: np.ndarray) -> str:
        return _share(edge[rows].sum() / max(live[rows].sum(), 1))

    height, width = reading.pixels.size
    area = f"the outermost ring of the map, which is {_share(1 - (height - 2) * (width - 2) / (height * width))} of it"
    white = reading.images.white
    if reading.images.both:
        told = [f"On white backgrounds {share(white)} of the maxima lie in {area}; on black ones {share(~white)} do."]
    else:
        told = [f"{share(np.ones(len(edge), bool))} of the maxima lie in {area}."]
    corner = border_pixel(reading)
    return [*told, *([corner] if corner else []), *_fixed(reading)]


def _fixed(reading: Reading) -> list[str]:
    """Classes whose every image has its maxima at the same pixels."""
    assert reading.pixels is not None
    found, told = reading.pixels, []
    for k, name in enumerate(reading.images.classes):
        rows, columns = found.rows[reading.images.labels == k], found.columns[reading.images.labels == k]
        same = len(rows) > 1 and (rows == rows[0]).all() and (columns == columns[0]).all() and (rows[0] >= 0).any()
        if same and found.rows.shape[1] == 1:
            place = f"row {rows[0, 0] + 1}, column {columns[0, 0] + 1}"
            told.append(f"In all {len(rows):,} images of {name} the maximum is the same pixel: {place}.")
        elif same:
            told.append(f"In all {len(rows):,} images of {name} the maxima are the same pixels.")
    return told


def border_pixel(reading: Reading) -> str:
    """The pixel of the border that is a maximum in more than half of the images of a background; else nothing."""
    if reading.pixels is None:
        return ""
    found, white = reading.pixels, reading.images.white
    parts = (
        [("", None)]
        if not reading.images.both
        else [(" with a white background", white), (" with a black background", ~white)]
    )
    height, width = found.size
    best = (0.0, "")
    for name, chosen in parts:
        share = found.frequency(chosen)
        share[1:-1, 1:-1] = 0
        row, column = (int(i) for i in np.unravel_index(int(share.argmax()), share.shape))
        kind = "corner" if row in (0, height - 1) and column in (0, width - 1) else "border"
        text = (
            f"The {kind} pixel at row {row + 1}, column {column + 1} is a maximum in "
            f"{_share(float(share[row, column]))} of the images{name}."
        )
        best = max(best, (float(share[row, column]), text))
    return best[1] if best[0] > _OFTEN else ""


def filters(reading: Reading) -> list[str]:
    """The direction of each filter, its mixture, and what padding does to it."""
    told = []
    for one in reading.filters[:2]:
        name = f"Filter {one.number + 1}" if len(reading.filters) > 1 else "The filter"
        if one.direction is None:
            told.append(f"{name} is 0 everywhere.")
            continue
        share, level = _share(one.direction.share), _share(one.direction.level)
        if one.direction.share >= _SLIGHT:
            told.append(
                f"{name} answers most to a change {one.direction.words}; an even slope in that direction explains "
                f"{share} of its energy, plain brightness {level}."
            )
        else:
            told.append(
                f"{name} has hardly a direction: the even slope it answers to most explains {share} of its energy, "
                f"plain brightness {level}; the rest answers to spots, lines and corners."
            )
        if one.decomposition is not None:
            best = one.decomposition.mixtures[0]
            classic, weight = next(iter(best.weights.items()))
            beyond = "more" if best.share > best.chance[1] else "no more"
            opposite = "the opposite of " if weight < 0 else ""
            told.append(
                f"The classic filter most like it is {opposite}{classic}, which explains {_share(best.share)} of it; "
                f"{beyond} than nineteen of twenty random filters would have explained ({_share(best.chance[1])})."
            )
    if len(reading.filters) == 1:
        told.append(_blank(reading))
    return told


def _blank(reading: Reading) -> str:
    """What an empty image excites."""
    told = []
    for map_, name in zip(reading.filters[0].blank, ("white", "black")):
        inside = map_[1:-1, 1:-1] if min(map_.shape) > 2 else map_
        edge = float(map_.max())
        if edge - float(inside.max()) > 1e-6:
            row, column = np.unravel_index(int(map_.argmax()), map_.shape)
            told.append(
                f"an empty {name} image excites the border (up to {number(edge)} at row {row + 1}, column "
                f"{column + 1}) more than the inside ({number(float(inside.max()))})"
            )
        else:
            told.append(f"an empty {name} image gives {number(float(inside.max()))} and no more at the border")
    return f"Without any figure, {' and '.join(told)}."


def learners(reading: Reading) -> list[str]:
    """Whether others do as well on the same features."""
    if reading.learners is None:
        return [f"Not measured: {reading.reasons.get('learners', '')}."]
    own, *others = reading.learners
    best = max(others, key=lambda one: one.right)
    return [
        f"On the same {own.n:,} images the network is right on {_share(own.accuracy)}, and the best of the others, "
        f"{best.name}, on {_share(best.accuracy)} ({_share(best.interval[0])} to {_share(best.interval[1])})."
    ]


def cluster_caption(reading: Reading, k: int) -> str:
    """What a cluster mostly holds."""
    assert reading.clusters is not None
    inside = reading.images.groups[reading.clusters.found.labels == k]
    group, count = Counter(inside.tolist()).most_common(1)[0]
    return f"{k + 1}: {len(inside):,} images, {_share(count / len(inside))} {reading.images.group_names[group]}"


def constant_classes(reading: Reading) -> list[str]:
    """Classes whose every feature is the same for all images, where some feature varies at all."""
    names = []
    for k, name in enumerate(reading.images.classes):
        found = [box[k] for box in reading.boxes]
        if all(box is not None and box.constant for box in found):
            names.append(name)
    return names if len(names) < len(reading.images.classes) else []


def _share(value: float) -> str:
    """A percentage with one decimal."""
    return f"{100 * value:.1f}%"
