"""The drawings of a reading: features by class, trees, components, clusters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.reading.results import Reading
from cnnaudit.reading.trees import Node, Tree
from cnnaudit.report.figures import CARD, FAINT, INK, LINE_COLORS, MARK, WIDTH
from cnnaudit.report.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 7.2
POINTS = 500  # shown of a cloud
PANELS = 16
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def color(k: int) -> str:
    """The color of class k; more than six begin again, paler in areas and with another marker in clouds."""
    return LINE_COLORS[k % len(LINE_COLORS)]


def strength(k: int) -> float:
    """The opacity of its areas: the second six are paler."""
    return 1.0 if k < len(LINE_COLORS) else 0.45


def marker(k: int) -> str:
    """The marker of class k."""
    return MARKERS[(k // len(LINE_COLORS)) % len(MARKERS)]


def legend_above(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """A legend over the axes, where it hides nothing."""
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, fontsize=8, handletextpad=0.4)


def shown_features(reading: Reading) -> list[int]:
    """The features that are drawn: all up to 16, else the 16 in which the classes differ most."""
    values, labels = reading.features, reading.images.labels
    if values.shape[1] <= PANELS:
        return list(range(values.shape[1]))
    means = np.stack([values[labels == k].mean(axis=0) for k in np.unique(labels)])
    ratio = means.std(axis=0) / np.maximum(values.std(axis=0), 1e-9)
    return sorted(np.argsort(-ratio, kind="stable")[:PANELS].tolist())


def boxplots(reading: Reading) -> Figure:
    """Features by class, each panel where its cell lies in the image."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = shown_features(reading)
    grid = reading.place.grid
    spatial = grid is not None and grid[0] == 1 and len(shown) == reading.place.size
    columns = grid[2] if grid is not None and spatial else min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(WIDTH if columns <= 2 else WIDE, 0.7 + (1.5 if columns > 2 else 1.9) * rows))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    classes = reading.images.classes
    for place, feature in zip(panels.flat, shown):
        _boxes(place, reading, feature)
        place.set_title(f"{reading.names[feature]}", fontsize=8)
    for place in panels.flat[len(shown) :]:
        place.set_visible(False)
    for place in panels[:, 0]:
        place.set_ylabel("activation")
    handles = [Patch(color=color(k), alpha=strength(k), label=printable(name)) for k, name in enumerate(classes)]
    legend_above(figure, handles, 3 if columns <= 2 else 6)
    return figure


def _boxes(place: Axes, reading: Reading, feature: int) -> None:
    """One feature's boxes, a thick line where a class is constant."""
    for k, box in enumerate(reading.boxes[feature]):
        if box is None:
            continue
        place.vlines([k, k], [box.low, box.q75], [box.q25, box.high], color=FAINT, linewidth=1.2)
        if box.constant:
            place.hlines(box.median, k - 0.38, k + 0.38, color=color(k), linewidth=4)
            place.annotate("constant", (k, box.median), (0, 5), textcoords="offset points", ha="center", fontsize=7)
            continue
        place.bar(k, box.q75 - box.q25, 0.7, bottom=box.q25, color=color(k), alpha=strength(k))
        place.hlines(box.median, k - 0.35, k + 0.35, color=INK, linewidth=1.6)
    place.set_xticks([])
    place.set_xlim(-0.6, len(reading.boxes[feature]) - 0.4)


def tree_drawing(tree: Tree, classes: Sequence[str]) -> Figure:
    """A tree from left to right: questions (yes above, no below), then the classes of the images at each answer."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    depth, leaves = tree.root.depth, tree.root.leaves
    figure = Figure(figsize=(WIDE, 0.7 + 0.5 * max(leaves, 2)))
    axes = figure.subplots()
    _branch(axes, tree.root, 0, 0, depth, classes)
    axes.set_xlim(-0.1, depth + 1.25)
    axes.set_ylim(leaves - 0.4, -0.6)
    axes.axis("off")
    present = [k for k, count in enumerate(tree.root.counts) if count]
    legend_above(figure, [Patch(color=color(k), alpha=strength(k), label=printable(classes[k])) for k in present], 6)
    return figure


def _branch(axes: Axes, node: Node, x: int, top: int, depth: int, classes: Sequence[str]) -> float:
    """Draw a node and what hangs below it; returns its height."""
    if node.yes is None or node.no is None:
        axes.plot([x, depth], [top, top], color=FAINT, linewidth=1)
        left, total = depth + 0.02, sum(node.counts)
        for k, count in enumerate(node.counts):
            axes.barh(top, 0.55 * count / total, 0.5, left=left, color=color(k), alpha=strength(k))
            left += 0.55 * count / total
        share = node.counts[node.answer] / total
        text = f"{printable(classes[node.answer])}, {100 * share:.0f}% of {total:,}"
        axes.text(depth + 0.6, top, text, va="center", fontsize=8)
        return float(top)
    upper = _branch(axes, node.yes, x + 1, top, depth, classes)
    lower = _branch(axes, node.no, x + 1, top + node.yes.leaves, depth, classes)
    y = (upper + lower) / 2
    for height, word in ((upper, "yes"), (lower, "no")):
        axes.plot([x + 0.3, x + 0.72, x + 0.72, x + 1], [y, y, height, height], color=FAINT, linewidth=1, zorder=0)
        axes.text(x + 0.74, height, word, fontsize=7, va="bottom", color=INK)
    feature, _, where = printable(node.feature).partition(" (")
    place = [where.rstrip(")")] if 0 < len(where) <= 13 else []
    lines = [*textwrap.wrap(feature, 13), *place, f"≤ {node.threshold:.3g}?"]
    box = {"facecolor": CARD, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, "\n".join(lines), va="center", fontsize=8, bbox=box)
    return y


def _sample(reading: Reading) -> np.ndarray:
    """The images whose points are drawn."""
    return np.sort(np.random.default_rng(0).permutation(len(reading.features))[:POINTS])


def _plane(reading: Reading) -> tuple[np.ndarray, tuple[str, str]]:
    """Two coordinates of each image with their labels: the first components, or the feature and nothing."""
    found = reading.components
    if reading.features.shape[1] == 1:
        jitter = np.random.default_rng(1).uniform(-0.4, 0.4, len(reading.features))
        return np.stack([reading.features[:, 0], reading.images.labels + jitter], 1), ("the feature (activation)", "")
    labels = [f"component {k + 1} ({100 * found.shares[k]:.0f}% of variance)" for k in range(2)]
    return found.scores[:, :2], (labels[0], labels[1])


def components(reading: Reading, by_group: bool) -> Figure:
    """The images in the plane of the first two components, by class or by class and background."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    images = reading.images
    figure = Figure(figsize=(WIDTH, 4.0))
    axes = figure.subplots()
    plane, names = _plane(reading)
    rows = _sample(reading)
    handles = []
    groups = images.examples if by_group else [int(k) for k in np.unique(images.labels)]
    of = images.groups if by_group else images.labels
    for group in groups:
        k, filled = (group // 2, bool(group % 2)) if by_group and images.both else (group, True)
        chosen = rows[of[rows] == group]
        style: dict[str, Any] = {"marker": marker(k), "linestyle": "none", "markersize": 4, "color": color(k)}
        style |= {} if filled else {"markerfacecolor": "none", "markeredgewidth": 1.0}
        axes.plot(*plane[chosen].T, alpha=0.75, **style)
        label = images.group_names[group] if by_group else images.classes[group]
        handles.append(Line2D([], [], label=printable(label), **style))
    axes.set(xlabel=names[0], ylabel=names[1])
    legend_above(figure, handles, 2 if by_group and images.both else 3)
    return figure


def clusters(reading: Reading) -> Figure:
    """The images in the same plane by cluster, in the look of the class that most of a cluster has, numbered."""
    from matplotlib.figure import Figure

    assert reading.clusters is not None
    found, images = reading.clusters.found, reading.images
    figure = Figure(figsize=(WIDTH, 4.0))
    axes = figure.subplots()
    plane, names = _plane(reading)
    rows = _sample(reading)
    groups = [int(np.bincount(images.groups[found.labels == k]).argmax()) for k in range(len(found.centers))]
    for k, group in enumerate(groups):
        chosen = rows[found.labels[rows] == k]
        shade, filled = (color(group // 2), bool(group % 2)) if images.both else (color(group), True)
        shape = MARKERS[groups[:k].count(group) % len(MARKERS)]
        style: dict[str, Any] = {"marker": shape, "linestyle": "none", "markersize": 4, "color": shade}
        style |= {} if filled else {"markerfacecolor": "none", "markeredgewidth": 1.0}
        axes.plot(*plane[chosen].T, alpha=0.6, **style)
    for k, group in enumerate(groups):
        x, y = plane[found.labels == k].mean(axis=0)
        edge = color(group // 2 if images.both else group)
        box = {"boxstyle": "circle,pad=0.25", "facecolor": "#fefefe", "edgecolor": edge, "linewidth": 2}
        axes.text(float(x), float(y), str(k + 1), ha="center", va="center", fontsize=8, color="#0f0f0f", bbox=box)
    axes.set(xlabel=names[0], ylabel=names[1])
    if not names[1]:
        axes.set_yticks(range(len(images.classes)), [printable(name) for name in images.classes])
    return figure


def elbow_curve(reading: Reading) -> Figure:
    """The inertia by number of clusters, with the number that each rule says."""
    from matplotlib.figure import Figure

    assert reading.elbow is not None
    found = reading.elbow
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots()
    y = found.inertia / (found.inertia[0] or 1)
    axes.plot(found.ks, y, color=LINE_COLORS[0], marker="o", markersize=4, linewidth=1.6)
    axes.plot(found.ks[[0, -1]], y[[0, -1]], color=FAINT, linestyle="--", linewidth=1)
    before, lift = (-9, 0.0), 9
    for k in sorted({k for k in found.chosen.values() if k is not None}):
        rules = [rule for rule, number in found.chosen.items() if number == k]
        height = float(y[k - 1])
        left = k < found.ks[-1] * 0.7
        lift = lift + 26 if k - before[0] < 4 and before[1] - height < 0.1 else 9 if left else 26
        before = (k, height)
        axes.plot([k], [height], marker="o", markersize=9, markerfacecolor="none", color=MARK, markeredgewidth=2)
        axes.annotate(
            "\n".join(rules),
            (k, height),
            (4, lift),
            textcoords="offset points",
            fontsize=8,
            ha="left" if left else "right",
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6} if lift > 9 else None,
        )
    axes.set(xlabel="clusters", ylabel="inertia (1 cluster = 1)", ylim=(0, 1.12))
    axes.set_xticks(found.ks)
    return figure


def learners(reading: Reading) -> Figure:
    """The accuracy of each learner with its interval."""
    from matplotlib.figure import Figure

    assert reading.learners is not None
    rows = [(one.name, one.accuracy, one.interval) for one in reading.learners]
    if reading.tree is not None:
        rows.append((f"tree of {reading.tree.root.leaves} leaves", reading.tree.accuracy, reading.tree.interval))
    if reading.hand_made is not None:
        name = f"tree of {reading.hand_made.root.leaves} leaves\non hand-made features"
        rows.append((name, reading.hand_made.accuracy, reading.hand_made.interval))
    figure = Figure(figsize=(WIDTH, 0.8 + 0.38 * len(rows)))
    axes = figure.subplots()
    for y, (_, value, (low, high)) in enumerate(rows):
        axes.plot([low, high], [y, y], color=LINE_COLORS[0], linewidth=3, alpha=0.5, solid_capstyle="round")
        axes.plot([value], [y], marker="o", color=LINE_COLORS[0], markersize=6)
        axes.annotate(f"{100 * value:.1f}%", (value, y), (0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.set_xlabel("share of images in the right class")
    axes.grid(axis="x", color=FAINT, alpha=0.35, linewidth=0.6)
    axes.margins(x=0.12)
    return figure
