"""Figures of a report as inline SVG that follows the page: its text color, its dark mode, its width.

Matplotlib draws with placeholder colors, which are then replaced by CSS variables of the page (the Okabe-Ito palette,
which color-blind people can tell apart). Figures are narrow, so that their text stays legible on a phone.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.report.words import number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.6
MOST_BARS = 24
INK, FAINT, CLEAN, DEFECT, MARK = "#010101", "#010102", "#010103", "#010104", "#010105"
CSS = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    CLEAN: "var(--blue)",
    DEFECT: "var(--vermilion)",
    MARK: "var(--orange)",
    "#010106": "var(--green)",
    "#010107": "var(--purple)",
    "#010108": "var(--sky)",
}
LINE_COLORS = (CLEAN, DEFECT, "#010106", MARK, "#010107", "#010108")
LINE_STYLES = ("-", "--", "-.", ":")
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cnnaudit",
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "figure.constrained_layout.use": True,
}


def draw(item: Mapping[str, Any]) -> str:
    """The SVG of a piece of evidence; empty for kinds that are no figure (tables, images) or are unknown.

    Args:
        item: as made by `cnnaudit.evidence`.
    """
    painters: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
        "heat_map": _heat_map,
        "null_distribution": _null_distribution,
        "curve": _curve,
        "bars": _bars,
    }
    painter = painters.get(str(item.get("kind")))
    return _svg(lambda: painter(item), str(item.get("title", ""))) if painter else ""


def _svg(painter: Callable[[], Figure], title: str) -> str:
    """The painted figure as SVG text for a page, titled for screen readers."""
    import matplotlib
    from markupsafe import escape
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matplotlib.rcParams.update(STYLE)
        FigureCanvasSVG(painter()).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"(?<=: )#0101(0[1-8])", lambda match: CSS[match.group()], text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\n\s*", "\n", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(printable(title))}" ', 1)


def _axes(height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _label(text: Any, length: int = 44) -> str:
    """Text that fits beside an axis."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _heat_map(item: Mapping[str, Any]) -> Figure:
    """A matrix as colors; small ones also show their numbers."""
    values = np.asarray(item["values"], dtype=float)
    rows, columns = values.shape
    figure, axes = _axes(float(np.clip(3.6 * rows / columns, 1.4, 4.6)))
    picture = axes.imshow(values, cmap="cividis", interpolation="nearest", aspect="equal" if rows * columns > 64 else "auto")
    figure.colorbar(picture, ax=axes, label=_label(item["label"]), shrink=0.9).outline.set_visible(False)
    axes.set(xlabel=_label(item["columns"]), ylabel=_label(item["rows"]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[:].set_visible(False)
    if rows * columns <= 64:
        middle = (values.min() + values.max()) / 2
        for (row, column), value in np.ndenumerate(values):
            shade = "white" if value < middle else "black"
            axes.text(column, row, number(value), ha="center", va="center", color=shade)
    return figure


def _null_distribution(item: Mapping[str, Any]) -> Figure:
    """A histogram of the statistic without the defect, the observed value and the tolerance marked."""
    figure, axes = _axes(2.5)
    null = np.asarray(item["null"], dtype=float)
    axes.hist(null, bins=_edges([*null, item["observed"]], 48), color=CLEAN, alpha=0.65, histtype="stepfilled", label="without the defect")  # fmt: skip
    axes.set(xlabel=_label(item["label"]), ylabel="resamples")
    axes.axvline(item["observed"], color=DEFECT, linewidth=2, label=f"observed: {number(item['observed'])}")
    if item.get("tolerance") is not None:
        axes.axvline(item["tolerance"], color=INK, linewidth=1.2, linestyle="--", label=f"tolerance: {number(item['tolerance'])}")  # fmt: skip
    _legend_above(figure)
    return figure


def _curve(item: Mapping[str, Any]) -> Figure:
    """Lines over a common axis, told apart by color and by dash."""
    figure, axes = _axes(2.7)
    for k, (name, y) in enumerate(item["lines"].items()):
        color, dash = LINE_COLORS[k % len(LINE_COLORS)], LINE_STYLES[k % len(LINE_STYLES)]
        axes.plot(item["x"], y, color=color, linestyle=dash, linewidth=1.8, label=_label(name))
    axes.set(xlabel=_label(item["x_label"]), ylabel=_label(item["y_label"]))
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    if len(item["lines"]) > 1:
        _legend_above(figure)
    return figure


def _bars(item: Mapping[str, Any]) -> Figure:
    """Horizontal bars, the first on top; of very many only the largest."""
    values = list(item["values"].items())
    label = _label(item["label"])
    if len(values) > MOST_BARS:
        label += f" ({MOST_BARS} largest of {len(values)})"
        values = sorted(values, key=lambda pair: -abs(pair[1]))[:MOST_BARS]
    figure, axes = _axes(0.75 + 0.24 * len(values))
    positions = np.arange(len(values))
    axes.barh(positions, [value for _, value in values], height=0.62, color=CLEAN)
    axes.set_yticks(positions, [_label(name, 22) for name, _ in values])
    for position, (_, value) in zip(positions, values):
        axes.annotate(number(value), (value, position), (4 if value >= 0 else -4, 0), textcoords="offset points", va="center", ha="left" if value >= 0 else "right", fontsize=8)  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if item.get("tolerance") is not None:
        axes.axvline(item["tolerance"], color=INK, linewidth=1.2, linestyle="--", label=f"tolerance: {number(item['tolerance'])}")  # fmt: skip
        _legend_above(figure)
    return figure


def _legend_above(figure: Figure) -> None:
    """The legend over the axes, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    wide = max((len(label) for label in labels), default=0) > 20
    figure.legend(handles, labels, loc="outside upper left", ncols=1 if wide and len(labels) > 2 else 2, fontsize=8)


def _edges(values: Sequence[float], bins: int) -> np.ndarray:
    """Edges of equal bins that hold all values, also where they are all the same."""
    low, high = float(min(values)), float(max(values))
    margin = (high - low) * 0.02 or max(abs(low), 1.0) * 0.02
    return np.linspace(low - margin, high + margin, bins + 1)
