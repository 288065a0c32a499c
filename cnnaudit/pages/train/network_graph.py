"""The graph of a network as a figure: a box per call, or per module where there are too many, and what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnaudit.interventions.dataflow import INPUT, Dataflow, Node
from cnnaudit.pages.colors import Colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 40  # boxes that can still be read
ROW, COLUMN = 0.55, 1.9  # inches


@dataclass(frozen=True)
class Box:
    """One box: a name, what it is, and the boxes that it reads."""

    name: str
    text: str
    reads: tuple[str, ...]


def boxes(flow: Dataflow, most: int = MOST) -> list[Box]:
    """The boxes of a network: its input, and its calls or, where these are more than `most`, its modules.

    The modules are those at the greatest depth at which there are at most `most`.

    Example:
        >>> flow = Dataflow((Node("a.b", "relu", (1, 2), 0), Node("a.c", "relu", (1, 2), 0)), (("a.b", "a.c"),))
        >>> [box.name for box in boxes(flow, most=1)]
        ['input', 'a']
    """
    depth = max(node.name.count(".") for node in flow.nodes) + 1
    owners = {node.name: node.name for node in flow.nodes}
    while len(set(owners.values())) > most and depth > 1:
        depth -= 1
        owners = {node.name: ".".join(node.name.split("/")[0].split(".")[:depth]) or node.name for node in flow.nodes}
    members: dict[str, list[Node]] = {}
    for node in flow.nodes:
        members.setdefault(owners[node.name], []).append(node)
    reads: dict[str, dict[str, None]] = {name: {} for name in members}
    for maker, reader in flow.edges:
        source, target = owners.get(maker, INPUT), owners[reader]
        if source != target:
            reads[target][source] = None
    calls = [Box(name, _text(parts), tuple(reads[name])) for name, parts in members.items()]
    return [Box(INPUT, "the image", ()), *calls]


def rows(found: Sequence[Box]) -> list[list[str]]:
    """The boxes in rows: each below all that it reads, and beside its neighbors in the order of what they read."""
    level: dict[str, int] = {}
    for box in found:  # in the order of the calls, so that a module that is entered again makes no circle
        level[box.name] = 1 + max((level[name] for name in box.reads if name in level), default=-1)
    lines: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    place: dict[str, float] = {}
    for box in sorted(found, key=lambda one: level[one.name]):
        above = [place[name] for name in box.reads if name in place]
        place[box.name] = (sum(above) / len(above) if above else 0.0) + 1e-3 * len(lines[level[box.name]])
        lines[level[box.name]].append(box.name)
    for line in lines:
        line.sort(key=place.__getitem__)
    return lines


def graph_figure(found: Sequence[Box], colors: Colors) -> Figure:
    """The boxes from the image above to the logits below, with an arrow for everything that a box reads."""
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    lines = rows(found)
    widest = max(len(line) for line in lines)
    figure = Figure(figsize=(max(4.0, COLUMN * widest), ROW * len(lines) + 0.1))
    axes = figure.subplots()
    axes.set(xlim=(0, max(4.0, COLUMN * widest)), ylim=(-ROW * len(lines), 0))
    axes.set_axis_off()
    half, middle = 0.86, max(4.0, COLUMN * widest) / 2
    at: dict[str, tuple[float, float]] = {}
    for row, line in enumerate(lines):
        for column, name in enumerate(line):
            at[name] = (middle + COLUMN * (column - (len(line) - 1) / 2), -ROW * (row + 0.45))
    depth = {name: row for row, line in enumerate(lines) for name in line}
    for box in found:
        for name in box.reads:
            (x0, y0), (x1, y1) = at[name], at[box.name]
            far = depth[box.name] - depth[name] > 1 and abs(x0 - x1) < 0.2  # would run through the boxes between
            start, end = ((x0 + half, y0), (x1 + half, y1)) if far else ((x0, y0 - 0.19), (x1, y1 + 0.19))
            bend = f"arc3,rad={-0.35 if far else 0}"
            axes.add_patch(
                FancyArrowPatch(
                    start, end, arrowstyle="-|>", mutation_scale=7, color=colors.faint, connectionstyle=bend
                )
            )
    for box in found:
        x, y = at[box.name]
        axes.add_patch(
            FancyBboxPatch(
                (x - half, y - 0.17), 2 * half, 0.34, boxstyle="round,pad=0.02", fill=False, edgecolor=colors.series[0]
            )
        )
        axes.text(x, y + 0.07, _short(box.name), ha="center", va="center", fontsize=7.5, fontweight="bold")
        axes.text(x, y - 0.08, _short(box.text, 34), ha="center", va="center", fontsize=6.5)
    return figure


def network_rows(flow: Dataflow) -> list[list[str | int]]:
    """A row per call: name, kind, output shape without the batch, parameters."""
    return [[node.name, node.kind, _shape(node), node.parameters] for node in flow.nodes]


def _text(parts: Sequence[Node]) -> str:
    parameters = sum(node.parameters for node in parts)
    kind = parts[0].kind if len(parts) == 1 else f"{len(parts)} calls"
    return f"{kind}, {_shape(parts[-1])}" + (f", {parameters:,}" if parameters else "")


def _shape(node: Node) -> str:
    return " x ".join(map(str, node.output_shape[1:]))


def _short(text: str, most: int = 28) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
