"""The page of one convolution: its kernels, the kinds of its units, their groups, the ring, the Mapper graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.evidence import null_distribution, table
from cnnaudit.pages.document import Drawing, Part, Picture, Section, document
from cnnaudit.pages.kernels.clusters_section import clusters_section
from cnnaudit.pages.kernels.densities_section import densities_section
from cnnaudit.pages.kernels.layer import Examined
from cnnaudit.report.paths import folder_name
from cnnaudit.report.words import listed, number, plural
from cnnaudit.topology._graph_loops import stable_loop
from cnnaudit.topology._ring import LARGEST
from cnnaudit.topology.dense import DenseGraph, covered, neighbors
from cnnaudit.units.kinds import Counted

if TYPE_CHECKING:
    from cnnaudit.topology import Ring
    from cnnaudit.units import LayerShare

NAMED = 24  # units that a table names
ALPHA = 0.05


@dataclass(frozen=True)
class Facts:
    """What the overview tells about a layer, as plain JSON values; None: not to be had."""

    layer: str
    units: int
    inputs: int
    size: tuple[int, int]
    constant: int | None = None
    kept: int | None = None
    nodes: int | None = None
    edges: int | None = None
    published_nodes: int | None = None
    published_share: float | None = None
    ring: float | None = None
    ring_null: float | None = None
    ring_p: float | None = None
    stable_loop: int | None = None
    null_loop: int | None = None
    groups: int | None = None
    supported: int | None = None
    clusters_p: float | None = None


def facts(found: Examined) -> Facts:
    """The numbers of the overview."""
    layer, kept, ring, clusters = found.kernels, found.dense, found.ring, found.clusters
    numbers: dict[str, Any] = {}
    if kept is not None:
        numbers |= {"constant": found.constant, "kept": len(kept.rows), "nodes": len(kept.graph.nodes)}
        numbers |= {"edges": len(kept.graph.edges)}
        numbers |= dict(zip(("published_nodes", "published_share"), kept.published))
    if ring is not None:
        numbers |= {"ring": ring.relative, "ring_null": ring.relative - ring.excess, "ring_p": ring.p_value}
        numbers |= {"stable_loop": ring.stable_loop, "null_loop": _null_loop(ring)}
    if clusters is not None:
        numbers |= {"groups": clusters.clusters, "supported": clusters.supported, "clusters_p": clusters.count.p_value}
    return Facts(layer.layer, layer.units, layer.inputs, layer.size, **numbers)


def _null_loop(ring: Ring) -> int:
    """The stable loop of the null whose Mapper graphs have the longer one."""
    return max((stable_loop(graphs) for graphs in ring.null_graphs.values()), default=0)


def page_names(layer: str) -> tuple[str, str]:
    """The files of a layer: its page, and its interactive graph."""
    name = folder_name(layer)
    return f"{name}.html", f"{name}-graph.html"


def layer_page(target: str, found: Examined, counted: Sequence[Counted]) -> str:
    """The page as HTML."""
    layer = found.kernels
    height, width = layer.size
    lead = (
        f"{plural(layer.units, 'unit')} with {plural(layer.inputs, 'kernel')} of {height} x {width} each. "
        f"{_kinds_lead(layer.layer, counted)}{_shape_lead(found)} "
        "These are descriptions: nothing here is right or wrong."
    )
    sections = [section(found, counted) for section in SECTIONS]
    return document(f"Layer {layer.layer}", lead, sections, f"Kernels of {target}")


def graph_page(target: str, found: Examined) -> str:
    """The interactive graph of the layer as HTML."""
    from cnnaudit.pages.kernels.coloring import Coloring
    from cnnaudit.pages.kernels.mapper_graph import mapper_page

    layer, kept, ring = found.kernels, found.dense, found.ring
    assert kept is not None
    colorings = [Coloring(f"mean of lens {k + 1}", kept.lens[:, k]) for k in range(kept.lens.shape[1])]
    if ring is not None and ring.coordinates is not None:
        colorings.insert(0, Coloring("circular coordinate of the longest loop", ring.coordinates[kept.rows], True))
    return mapper_page(
        kept.graph,
        kept.shapes.reshape(-1, *layer.size),
        [f"{layer.layer}_{layer.unit_of(row)}" for row in kept.rows],
        [layer.input_of(row) for row in kept.rows],
        title=f"Layer {layer.layer}",
        colorings=colorings,
        text=[_way(found, kept)],
        eyebrow=f"Mapper graph of kernels of {target}",
        back=("the layer's page", page_names(layer.layer)[0]),
    )


def _kinds_lead(layer: str, counted: Sequence[Counted]) -> str:
    parts = [(one.kind.title, row) for one in counted if (row := one.of(layer)) is not None]
    some = [f"{len(row.found)} {title}" for title, row in parts if row.found]
    return f"Of them {listed(some)}. " if some else ""


def _shape_lead(found: Examined) -> str:
    parts = []
    if found.ring is not None:
        parts.append(f"The loop in its kernels is {_beyond(found.ring)} (p = {found.ring.p_value:.2g}).")
    if found.clusters is not None:
        more = " or more" if found.clusters.count.saturated else ""
        parts.append(f"Its units support {plural(found.clusters.supported, 'cluster')}{more}.")
    return " ".join(parts)


def _beyond(ring: Ring) -> str:
    return "longer than any null gives" if ring.p_value <= ALPHA and ring.excess > 0 else "not beyond the nulls"


def _units(found: Examined, counted: Sequence[Counted]) -> Section:
    pairs = [(one, one.of(found.kernels.layer)) for one in counted]
    rows = [
        [one.kind.title, len(row.found), *share_cells(row), _named(row.found)] for one, row in pairs if row is not None
    ]
    silent = [one.kind.title for one, row in pairs if row is None]
    text = [f"Not measured in this layer: units that are {listed(silent)}. The overview says why."] if silent else []
    columns = ["kind", "units", "share", "95% interval", "null", "which"]
    tables = [table("Units of each kind", columns, rows)] if rows else []
    return Section("Kinds of units", text, tables)


def share_cells(row: LayerShare) -> list[str]:
    """Share, interval and null of a row as text."""
    low, high = (number(bound, "share") for bound in row.interval)
    null = "" if row.null is None else f"{number(row.null, 'share')} ({row.null_name})"
    return [number(row.share, "share"), f"{low} to {high}", null]


def _named(units: Sequence[int]) -> str:
    text = ", ".join(map(str, units[:NAMED]))
    return text if len(units) <= NAMED else f"{text} and {len(units) - NAMED} more"


def _pictures(found: Examined, counted: Sequence[Counted]) -> Section:
    from cnnaudit.pages.kernels.pictures import kernel_grid

    layer = found.kernels
    labels = [str(unit) for unit in range(layer.units)]
    alt = f"{plural(layer.units, 'small square')} in a grid, one per unit"
    text = (
        "Each unit's kernels averaged over its input channels, on its own scale (black negative, gray 0, white "
        "positive), and the signs of the same. The number is the unit's."
    )
    parts: list[Part] = [
        Picture("Averaged kernels", kernel_grid(layer.averaged(), labels), alt),
        Picture("Their signs", kernel_grid(layer.binarized().astype(float), labels), alt),
    ]
    return Section("Averaged kernels", [text], parts)


def _ring(found: Examined, counted: Sequence[Counted]) -> Section:
    title = "Is there a ring?"
    if found.ring is None:
        return Section(title, [f"Not shown: {found.reasons['ring']}."])
    return Section(title, _ring_text(found.ring), _ring_drawings(found))


def _ring_text(ring: Ring) -> list[str]:
    nulls = listed([f"{name} p = {p:.2g}" for name, p in ring.p_values.items()])
    text = [
        f"The lifetime of the longest loop in the dense kernels is {number(ring.relative)} of a perfect circle's, "
        f"which is {_beyond(ring)}: {nulls}; the nearest null, {ring.nearest}, gives "
        f"{number(ring.relative - ring.excess)}."
    ]
    covers = plural(len(ring.graphs), "Mapper graph")
    text.append(
        f"At least half of {covers} over a range of covers hold {_loop(ring.stable_loop)}; of those of the nulls, "
        f"{_loop(_null_loop(ring))}."
    )
    return text


def _loop(edges: int) -> str:
    return f"a loop of {edges} edges or more" if edges else "no loop"


def _ring_drawings(found: Examined) -> list[Part]:
    from cnnaudit.pages.kernels.ring_figures import persistence_figure, ring_figure

    ring = found.ring
    assert ring is not None
    caption = "The farther a loop lies above the diagonal, the longer it lives."
    parts: list[Part] = [Drawing("Births and deaths of the loops", lambda: persistence_figure(ring), caption)]
    for name, lifetimes in ring.null.items():
        parts.append(
            null_distribution(
                f"Against {name}", lifetimes / LARGEST, ring.relative, label="lifetime of the longest loop"
            )
        )
    if ring.coordinates is not None and found.dense is not None:
        kept, angles = found.dense, ring.coordinates[found.dense.rows]
        shapes = kept.shapes.reshape(-1, *found.kernels.size)
        share = number(float(np.isfinite(angles).mean()), "share")
        caption = (
            "Mean kernels of the dense kernels by their circular coordinate; bars inside: how many there are. "
            f"{share} of them lie near the loop."
        )
        parts.insert(0, Drawing("Kernels around the longest loop", lambda: ring_figure(shapes, angles), caption))
    return parts


def _graph(found: Examined, counted: Sequence[Counted]) -> Section:
    from cnnaudit.pages.kernels.mapper_figure import caption, mapper_figure

    title, kept = "Mapper graph", found.dense
    if kept is None:
        return Section(title, [f"Not shown: {found.reasons['dense']}."])
    shapes = kept.shapes.reshape(-1, *found.kernels.size)
    drawing = Drawing(
        "The graph, simplified", lambda: mapper_figure(kept.graph, shapes), caption(kept.graph), wide=True
    )
    drawings = [drawing]
    if kept.at_variance_one.nodes:
        drawings.append(
            Drawing(
                "The graph at the published scale",
                lambda: mapper_figure(kept.at_variance_one, shapes),
                caption(kept.at_variance_one),
                wide=True,
            )
        )
    links = [("the graph with all nodes and kernels, to explore", page_names(found.kernels.layer)[1])]
    return Section(title, [_way(found, kept), _published(kept)], drawings, links)


def _way(found: Examined, kept: DenseGraph) -> str:
    settings, total = kept.settings, found.kernels.units * found.kernels.inputs
    left_out = f" ({plural(found.constant, 'constant kernel')} left out)" if found.constant else ""
    return (
        f"Of {plural(total, 'kernel')}{left_out}, each of mean 0 and norm 1, the density filter with k = "
        f"{neighbors(total - found.constant)} keeps the densest {settings.crop:.0%}, {len(kept.rows):,}; lenses are "
        f"their first {kept.lens.shape[1]} principal components, covered by {settings.bins} bins each with "
        f"{settings.overlap:.0%} overlap; DBSCAN with eps {settings.eps:g} and "
        f"{plural(settings.min_samples, 'sample')}{', by KeplerMapper' * (settings.by == 'kmapper')}. "
        f"{covered(kept.graph):,} of them are in a node."
    )


def _published(kept: DenseGraph) -> str:
    nodes, share = kept.published
    return (
        f"At variance 1, the published scale, where distances are {number(math.sqrt(kept.shapes.shape[1]))} times as "
        f"large, the published eps puts {number(share, 'share')} of them into {plural(nodes, 'node')}."
    )


SectionMaker = Callable[[Examined, Sequence[Counted]], Section]
SECTIONS: tuple[SectionMaker, ...] = (_units, _pictures, densities_section, clusters_section, _ring, _graph)
