"""The figure of each study: one Matplotlib figure, shown on the page and written as a PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.pages.colors import PRINT, Colors
from cnnaudit.report import figures
from cnnaudit.studies import activations, classic_filters, filter_similarity, noise_curve, pruning, single_pixel
from cnnaudit.studies.study import Row
from cnnaudit.studies.summary import of_kind, quartiles
from cnnaudit.studies.thesis import TABLE_I
from cnnaudit.training.plan import OPTIMIZERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.4


DASHES = ("-", "--", "-.", ":")


def _grid(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of panels, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False, **options))


def _lines(axes: Axes, colors: Colors) -> None:
    axes.grid(color=colors.faint, alpha=0.3, linewidth=0.6)


def _legend(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """One legend over all panels, each label once."""
    entries = {label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels())}
    figure.legend(entries.values(), entries.keys(), loc="outside upper left", ncols=columns, fontsize=8)


def _quartile_bar(axes: Axes, at: float, values: Sequence[float], **style: Any) -> None:
    """The median as a dot, the quartiles as a bar, along x."""
    low, middle, high = quartiles(values)
    axes.errorbar([middle], [at], xerr=[[middle - low], [high - middle]], fmt="o", markersize=4, capsize=2, **style)


def _epochs(axes: Axes, last: int) -> None:
    """A logarithmic axis of epochs with plain numbers."""
    axes.set(xscale="log", xlabel="epoch", xlim=(1, last))
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000) if tick <= last]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def pruning_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """Accuracy against the non-zero parameters that are left, network by network."""
    datasets = [dataset for dataset in TABLE_I if pruning.networks(rows, dataset)]
    figure, panels = _grid(1, max(1, len(datasets)), 3.0, sharey=True)
    for axes, dataset in zip(panels[0], datasets):
        for number, network in enumerate(pruning.networks(rows, dataset)):
            way = [*of_kind(network, "whole"), *of_kind(network, "greedy")]
            left = [row["remaining"] for row in way]
            for k, split in enumerate(("train", "validation")):
                label = f"{'training' if split == 'train' else split} images, one line per network"
                axes.plot(
                    left,
                    [row[f"{split}_accuracy"] for row in way],
                    color=colors.series[k],
                    linestyle=DASHES[k],
                    linewidth=1,
                    label=label if not number else None,
                )
            size, whole = pruning.smallest(network), way[0]["train_accuracy"]
            for k, (how, words) in enumerate((("pruned", "pruned at no loss"), ("tuned", "the same, rest trained on"))):
                axes.plot(
                    [size[how]],
                    [whole],
                    marker="ov"[k],
                    color=colors.series[2 + k],
                    linestyle="",
                    label=words if not number else None,
                )
        axes.invert_xaxis()
        axes.set_title(f"{dataset}: {TABLE_I[dataset].shows}", fontsize=9)
        _lines(axes, colors)
    panels[0, 0].set_ylabel("accuracy")
    figure.supxlabel("parameters that are not zero", fontsize=9)
    _legend(figure, panels[0], 2)
    return figure


def classic_filters_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """Above, accuracy by epoch and arm; below, the accuracy of each frozen classic filter."""
    datasets = [d for d in TABLE_I if all(classic_filters.of_arm(rows, d, arm) for arm in classic_filters.ARMS)]
    figure, panels = _grid(2, max(1, len(datasets)), 6.2, sharey="row", height_ratios=(1, 1.15))
    for (above, below), dataset in zip(panels.T, datasets):
        for k, (arm, words) in enumerate(classic_filters.ARMS.items()):
            curve = [row for row in of_kind(rows, "curve") if row["dataset"] == dataset and row["arm"] == arm]
            epochs, low, middle, high = ([row[name] for row in curve] for name in ("epoch", "low", "median", "high"))
            above.plot(epochs, middle, color=colors.series[k], linestyle=DASHES[k % 4], label=words)
            above.fill_between(epochs, low, high, color=colors.series[k], alpha=0.18, linewidth=0)
        target = classic_filters.target_of(dataset)
        above.axhline(target, color=colors.ink, linewidth=0.8, linestyle=":", label="95 % of the thesis's accuracy")
        _epochs(above, max((row["epoch"] for row in of_kind(rows, "curve")), default=1))
        above.set_title(f"{dataset}: {TABLE_I[dataset].shows}", fontsize=9)
        names = classic_filters.names_of(rows, dataset)
        for place, name in enumerate(names):
            for arm, k, offset in (("frozen", 2, -0.17), ("replicate", 4, 0.17)):
                found = classic_filters.of_arm(rows, dataset, arm, name)
                _quartile_bar(below, place + offset, classic_filters.accuracies(found), color=colors.series[k])
        for k, arm in ((0, "learned"), (3, "random")):
            first, median, last = quartiles(classic_filters.accuracies(classic_filters.of_arm(rows, dataset, arm)))
            below.axvspan(first, last, color=colors.series[k], alpha=0.18, linewidth=0)
            below.axvline(median, color=colors.series[k], linestyle=DASHES[k], linewidth=1)
        below.set_yticks(range(len(names)), names)
        below.set(xlabel="validation accuracy", xlim=(0.28, 1.03))
        for axes in (above, below):
            _lines(axes, colors)
    if len(datasets):
        panels[1, 0].invert_yaxis()
    panels[0, 0].set_ylabel("training accuracy: median, quartiles")
    panels[1, 0].set_ylabel("frozen filter and its negative")
    _legend(figure, panels[0], 3)
    return figure


def filter_similarity_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """Similarity of filters by what changed, for equal and for other first weights, over what chance gives."""
    similar = filter_similarity
    datasets = [dataset for dataset in TABLE_I if len(similar.compared(rows, dataset, "none"))]
    changes = list(similar.CHANGES)
    figure, panels = _grid(1, max(1, len(datasets)), 3.4, sharey=True, sharex=True)
    for axes, dataset in zip(panels[0], datasets):
        low, middle, high = quartiles(similar.null(rows).tolist())
        axes.axvspan(low, high, color=colors.faint, alpha=0.3, linewidth=0, label="random filters: quartiles of pairs")
        axes.axvline(middle, color=colors.faint, linewidth=1)
        for place, change in enumerate(changes):
            matrix = similar.compared(rows, dataset, change)
            if not len(matrix):
                continue
            for k, (same, words) in enumerate(((True, "same first weights"), (False, "other first weights"))):
                if same and change == "none":
                    continue  # the very same network
                mean, (first, last) = similar.mean_of_pairs(matrix, same)
                axes.errorbar(
                    [mean],
                    [place + (0.14 if k else -0.14)],
                    xerr=[[mean - first], [last - mean]],
                    fmt="os"[k],
                    markersize=4,
                    capsize=2,
                    color=colors.series[k],
                    label=words + ": mean, 95 % interval",
                )
        axes.set_title(f"{dataset}: {TABLE_I[dataset].shows}", fontsize=9)
        axes.set_yticks(range(len(changes)), [similar.CHANGES[change] for change in changes])
        _lines(axes, colors)
    panels[0, 0].invert_yaxis()
    panels[0, 0].set_xlim(0, 1.03)
    figure.supxlabel("similarity of filters (1: the same up to sign, rotation and reflection)", fontsize=9)
    _legend(figure, panels[0], 3)
    return figure


def noise_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """Above, accuracy by noise and architecture; below, the parameters that an accuracy needs."""
    figure, panels = _grid(2, len(noise_curve.DATASETS), 6.2, sharex=True, sharey="row")
    beyond = 3 * max(noise_curve.LADDER)
    for (above, below), (dataset, shows) in zip(panels.T, noise_curve.DATASETS.items()):
        levels = noise_curve.complete(rows, dataset)
        for k, size in enumerate(noise_curve.LADDER):
            found = [quartiles(noise_curve.accuracies(noise_curve.of_rung(rows, dataset, n, size))) for n in levels]
            low, middle, high = np.array(found).reshape(-1, 3).T
            style = {"color": colors.series[k], "linestyle": DASHES[k % len(DASHES)]}
            above.plot(levels, middle, marker="osv^Dx"[k], markersize=4, label=f"{size:,} parameters", **style)
            above.fill_between(levels, low, high, color=colors.series[k], alpha=0.15, linewidth=0)
        above.axhline(1 / 3, color=colors.ink, linewidth=0.8, linestyle=":", label="chance")
        above.set_title(f"{shows} (data set {dataset})", fontsize=9)
        for k, goal in enumerate(noise_curve.GOALS):
            for chosen in (False, True):
                sizes = np.array([noise_curve.needed(rows, dataset, level, goal, chosen) for level in levels])
                apart = 1 + 0.035 * (2 * k + chosen - 2.5)  # equal lines stay visible beside each other
                below.plot(
                    levels,
                    np.where(np.isfinite(sizes), sizes, beyond) * apart,
                    color=colors.series[k],
                    linestyle="--" if chosen else "-",
                    marker="osv"[k],
                    markersize=4,
                    label=f"{goal:g}: {'best in training' if chosen else 'half of the networks'}",
                )
        below.set_yscale("log")
        ticks = {
            **{size: f"{size:,}" for size in noise_curve.LADDER},
            beyond: f"more than\n{max(noise_curve.LADDER):,}",
        }
        below.set_yticks(list(ticks), list(ticks.values()))
        below.minorticks_off()
        for axes in (above, below):
            _lines(axes, colors)
    panels[0, 0].set_ylabel("validation accuracy")
    panels[1, 0].set_ylabel("parameters needed")
    figure.supxlabel("noise: swaps in percent of the canvas's pixels", fontsize=9)
    title = {"title": "median, and quartiles\nover networks", "title_fontsize": 8}
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, **title)
    panels[1, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, title="accuracy", title_fontsize=8)
    return figure


def single_pixel_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """Left, the reference targets; right, networks trained anew with either pooling."""
    figure, panels = _grid(1, 2, 3.4)
    left, right = panels[0]
    targets = single_pixel.of_source(rows, "target")
    for place, row in enumerate(targets):
        share, low, high = single_pixel.share(row)
        left.errorbar(
            [share],
            [place],
            xerr=[[share - low], [high - share]],
            fmt="o",
            markersize=5,
            capsize=2,
            color=colors.series[0],
        )
    left.set_yticks(range(len(targets)), [row["name"] for row in targets])
    left.set_title("reference targets (95 % intervals)", fontsize=9)
    rng = np.random.default_rng(0)
    for k, pooling in enumerate(single_pixel.POOLINGS):
        for place, dataset in enumerate(TABLE_I):
            shares = [single_pixel.share(row)[0] for row in single_pixel.of_source(rows, "trained", dataset, pooling)]
            if not shares:
                continue
            at = place + (0.18 if k else -0.18)
            spots = at + rng.uniform(-0.07, 0.07, len(shares))
            right.plot(shares, spots, "o" if k == 0 else "s", color=colors.series[k], alpha=0.45, markersize=4,
                       linestyle="", label=f"{pooling} pooling, one dot per network")  # fmt: skip
            middle = float(np.median(shares))
            right.plot([middle, middle], [at - 0.16, at + 0.16], color=colors.series[k], linewidth=2)
    right.set_yticks(range(len(TABLE_I)), [f"{dataset}: {model.shows}" for dataset, model in TABLE_I.items()])
    right.set_title("trained anew (bar: median)", fontsize=9)
    for axes in (left, right):
        axes.invert_yaxis()
        axes.set(xlim=(-0.03, 1.03), xlabel="share of images that one pixel flips")
        _lines(axes, colors)
    _legend(figure, [right], 2)
    return figure


def activations_figure(rows: Sequence[Row], colors: Colors) -> Figure:
    """A panel per pooling: rows activations, columns optimizers, the median accuracy in each cell."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    figure, panels = _grid(1, len(activations.POOLINGS), 3.0, sharey=True)
    clear = (*to_rgba("#3b82c4")[:3], 0.0)
    shades = LinearSegmentedColormap.from_list("accuracy", [clear, (*clear[:3], 0.8)])
    optimizers = list(OPTIMIZERS)
    for axes, pooling in zip(panels[0], activations.POOLINGS):
        values = np.array(
            [
                [
                    activations.median(activations.of(rows, activation=a, optimizer=o, pooling=pooling))
                    for o in optimizers
                ]
                for a in activations.ACTIVATIONS
            ]
        )
        axes.imshow(values, cmap=shades, vmin=0, vmax=1, aspect="auto")
        for place in np.argwhere(np.isfinite(values)):
            text = f"{values[tuple(place)]:.2f}".removeprefix("0")
            axes.text(place[1], place[0], text, ha="center", va="center", fontsize=8, color=colors.ink)
        axes.set_xticks(range(len(optimizers)), optimizers, rotation=90)
        axes.set_yticks(range(len(activations.ACTIVATIONS)), activations.ACTIVATIONS)
        axes.set_title(f"{pooling} pooling", fontsize=9)
    return figure


PAINTERS: Mapping[str, Callable[[Sequence[Row], Colors], Figure]] = {
    "pruning": pruning_figure,
    "classic-filters": classic_filters_figure,
    "filter-similarity": filter_similarity_figure,
    "noise": noise_figure,
    "single-pixel": single_pixel_figure,
    "activations": activations_figure,
}


def png(name: str, rows: Sequence[Row]) -> bytes:
    """The figure of a study as a PNG on white."""
    return figures.png(lambda: PAINTERS[name](rows, PRINT), PRINT.ink, PRINT.faint)
