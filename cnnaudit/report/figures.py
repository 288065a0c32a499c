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

from cnnaudit.report.words import is_share, number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 4.0
MOST_BARS = 24
MOST_NUMBERS = 64
INK, FAINT, CLEAN, DEFECT, MARK, CARD = "#010101", "#010102", "#010103", "#010104", "#010105", "#010109"
CSS = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    CLEAN: "var(--blue)",
    DEFECT: "var(--vermilion)",
    MARK: "var(--orange)",
    CARD: "var(--card)",
    "#010106": "var(--green)",
    "#010107": "var(--purple)",
    "#010108": "var(--sky)",
}
LINE_COLORS = (CLEAN, DEFECT, "#010106", MARK, "#010107", "#010108")
LINE_STYLES = ("-", "--", "-.", ":")
STYLE: Any = {
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


def draw(item: Mapping[str, Any], prefix: str = "figure") -> str:
    """The SVG of a piece of evidence; empty for kinds that are no figure (tables, images) or are unknown.

    Args:
        item: as made by `cnnaudit.core.evidence`.
        prefix: of all ids in the SVG, unique on the page.
    """
    painters: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
        "heat_map": _heat_map,
        "null_distribution": _null_distribution,
        "curve": _curve,
        "bars": _bars,
        "boxes": _boxes,
    }
    painter = painters.get(str(item.get("kind")))
    return svg(lambda: painter(item), str(item.get("title", "")), prefix) if painter else ""


def svg(painter: Callable[[], Figure], title: str, prefix: str) -> str:
    """The painted figure as SVG text for a page, titled for screen readers."""
    import matplotlib
    from markupsafe import escape
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that Matplotlib's own font lacks: the page's font draws them
        canvas: Any = FigureCanvasSVG(painter())
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    drawn: str = buffer.getvalue()
    text = drawn[drawn.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"(?<=[:] )#01010[1-9]", lambda match: CSS[match[0]], text)
    text = re.sub(r"""( id="|url\(#|href="#)""", rf"\g<1>{prefix}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    label = str(escape(printable(title)))
    return f'<svg role="img" aria-label="{label}" ' + text.removeprefix("<svg ")


def png(painter: Callable[[], Figure], ink: str, faint: str) -> bytes:
    """The painted figure as a PNG on white, its text in the color `ink`, its axes in `faint`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shades = {INK: ink, FAINT: faint}
    style = {key: shades.get(str(value), value) for key, value in STYLE.items()}
    style |= {"figure.facecolor": "white", "axes.facecolor": "white", "figure.dpi": 160}
    buffer = io.BytesIO()
    with matplotlib.rc_context(style):
        canvas: Any = FigureCanvasAgg(painter())
        canvas.print_png(buffer, metadata={"Software": ""})
    return buffer.getvalue()


def _axes(height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _label(text: Any, length: int = 44) -> str:
    """Text that fits beside an axis."""
    shown = printable(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _heat_map(item: Mapping[str, Any]) -> Figure:
    """A matrix as colors; small ones also show their numbers."""
    values = np.asarray(item["values"], dtype=float)
    rows, columns = values.shape
    from matplotlib.ticker import MaxNLocator

    small = values.size <= MOST_NUMBERS
    figure, axes = _axes(float(np.clip(3.1 * rows / columns, 1.4, 4.2)))
    picture = axes.imshow(values, cmap="cividis", interpolation="nearest", aspect="auto" if small else "equal")
    figure.colorbar(picture, ax=axes, label=_label(item["label"], 30), shrink=0.9).outline.set_visible(False)
    axes.set(xlabel=_label(item["columns"]), ylabel=_label(item["rows"], 30))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.spines[:].set_visible(False)
    if small:
        middle = (values.min() + values.max()) / 2
        for (row, column), value in np.ndenumerate(values):
            shade = "#fefefe" if value < middle else "#0f0f0f"  # not black, which SVG leaves to the page
            axes.text(column, row, number(value), ha="center", va="center", color=shade)
    return figure


def _null_distribution(item: Mapping[str, Any]) -> Figure:
    """A histogram of the null distribution, the observed value and the tolerance marked."""
    figure, axes = _axes(2.5)
    null = np.asarray(item["null"], dtype=float)
    heights, edges = np.histogram(null, _edges([*null, item["observed"]], 48))
    axes.stairs(heights, edges, fill=True, color=CLEAN, alpha=0.65, label="null distribution")
    _value_axis(axes.xaxis, item["label"])
    axes.set_ylabel("resamples")
    axes.axvline(
        item["observed"], color=DEFECT, linewidth=2, label=f"observed: {number(item['observed'], item['label'])}"
    )
    _tolerance_line(axes, item)
    _legend_above(figure)
    return figure


def _curve(item: Mapping[str, Any]) -> Figure:
    """Lines over a common axis, told apart by color and by dash."""
    figure, axes = _axes(2.7)
    for k, (name, y) in enumerate(item["lines"].items()):
        color, dash = LINE_COLORS[k % len(LINE_COLORS)], LINE_STYLES[k % len(LINE_STYLES)]
        axes.plot(item["x"], y, color=color, linestyle=dash, linewidth=1.8, label=_label(name))
    _value_axis(axes.xaxis, item["x_label"])
    _value_axis(axes.yaxis, item["y_label"], 30)
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    if len(item["lines"]) > 1:
        _legend_above(figure)
    return figure


def _bars(item: Mapping[str, Any]) -> Figure:
    """Horizontal bars, the first on top; of very many only the largest."""
    values = list(item["values"].items())
    label = str(item["label"])
    if len(values) > MOST_BARS:
        label += f" ({MOST_BARS} largest of {len(values)})"
        values = sorted(values, key=lambda pair: -abs(pair[1]))[:MOST_BARS]
    figure, axes = _axes(0.75 + 0.24 * len(values))
    positions = np.arange(len(values))
    axes.barh(positions, [value for _, value in values], height=0.62, color=CLEAN)
    axes.set_yticks(positions, [_label(name, 22) for name, _ in values])
    for position, (_, value) in zip(positions, values):
        outward = 4 if value >= 0 else -4
        side = "left" if value >= 0 else "right"
        axes.annotate(
            number(value, item["label"]),
            (value, position),
            (outward, 0),
            textcoords="offset points",
            va="center",
            ha=side,
            fontsize=8,
            bbox={"facecolor": CARD, "edgecolor": "none", "pad": 0.8},
        )
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.invert_yaxis()
    _value_axis(axes.xaxis, label)
    if _tolerance_line(axes, item):
        _legend_above(figure)
    return figure


def _boxes(item: Mapping[str, Any]) -> Figure:
    """Horizontal boxes from the first to the third quartile, whiskers to the extremes, the first name on top."""
    summaries = list(item["values"].items())[:MOST_BARS]
    figure, axes = _axes(0.75 + 0.24 * len(summaries))
    low, q25, median, q75, high = np.array([numbers for _, numbers in summaries]).T
    places = np.arange(len(summaries))
    axes.hlines(places, low, high, color=FAINT)
    axes.barh(places, q75 - q25, left=q25, height=0.6, color=CLEAN, edgecolor=CLEAN, linewidth=0.8)
    axes.vlines(median, places - 0.3, places + 0.3, color=INK, linewidth=1.8)
    axes.set_yticks(places, [_label(name, 22) for name, _ in summaries])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    more = f" ({MOST_BARS} of {len(item['values'])})" if len(item["values"]) > MOST_BARS else ""
    _value_axis(axes.xaxis, str(item["label"]) + more)
    return figure


def _value_axis(axis: Axis, label: str, length: int = 50) -> None:
    """A label and a few round ticks, percentages where the label speaks of a share."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(5))
    axis.set_label_text(_label(label, length))
    if is_share(label):
        axis.set_major_formatter(lambda value, _: number(float(f"{value:.6g}"), label))


def _tolerance_line(axes: Axes, item: Mapping[str, Any]) -> bool:
    """A dashed line at the tolerance, where there is one."""
    if item.get("tolerance") is None:
        return False
    text = f"tolerance: {number(item['tolerance'], item['label'])}"
    axes.axvline(item["tolerance"], color=INK, linewidth=1.2, linestyle="--", label=text)
    return True


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
