"""The graph of Mapper over kernels as a page: drawn on a canvas, kernels in the tooltips, a search, a table."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.pages.kernels.mapper_data import Members, packed_data, table_rows
from cnnaudit.report.words import plural
from cnnaudit.topology import MapperGraph

WEAK = 0.1  # share of a kernel's energy in its slope, below which it has no direction


@dataclass(frozen=True)
class Coloring:
    """A quantity that the nodes can be colored by.

    Attributes:
        title: what it is, with its unit, such as `mean of lens 1`.
        values: (N,) of the points; a node shows the mean of its members. NaN: the point has none.
        circular: angles in radians, averaged on the circle and shown in degrees.
    """

    title: str
    values: np.ndarray
    circular: bool = False

    def of_nodes(self, graph: MapperGraph) -> np.ndarray:
        """(nodes,): the mean over each node's members; NaN where none has a value."""
        values = np.asarray(self.values, dtype=float)
        if values.shape != (graph.points,):
            raise DataError(f"{self.title}: expected a value for each of {graph.points} points, got {values.shape}")
        return np.array([_mean(values[members], self.circular) for members in graph.nodes], dtype=float)


def slope_direction(kernels: np.ndarray) -> np.ndarray:
    """The direction (N,) in which each kernel grows, counterclockwise from the right; NaN where it has none.

    The angle of (sum of x k, sum of y k) over the kernel's places, of a kernel whose share of energy in the plane so
    spanned is at least 10 %.

    Example:
        >>> float(slope_direction(np.array([[[-1.0, 0, 1]] * 3]))[0])
        0.0
    """
    kernels = np.asarray(kernels, dtype=float)
    rows, columns = np.indices(kernels.shape[1:])
    right, up = columns - columns.mean(), rows.mean() - rows
    along = [(kernels * axis).sum((1, 2)) for axis in (right, up)]
    squares = [max(float((axis**2).sum()), 1e-12) for axis in (right, up)]
    planar = along[0] ** 2 / squares[0] + along[1] ** 2 / squares[1]
    centered = kernels - kernels.mean((1, 2), keepdims=True)
    weak = planar < WEAK * np.maximum((centered**2).sum((1, 2)), 1e-12)
    return np.asarray(np.where(weak, np.nan, np.arctan2(along[1], along[0]) % (2 * np.pi)))


def write_mapper_page(
    graph: MapperGraph,
    kernels: np.ndarray,
    units: Sequence[str],
    inputs: Sequence[int] | np.ndarray,
    path: Path,
    *,
    title: str,
    colorings: Sequence[Coloring] = (),
    text: Sequence[str] = (),
    eyebrow: str = "Mapper graph of kernels",
    back: tuple[str, str] | None = None,
) -> Path:
    """Write the graph as one page that needs no network, whole or not at all, and return its path.

    Args:
        graph: of `topology.mapper`, over N points.
        kernels: (N, h, w), as they were clustered; each is shown on its own scale, gray 0.
        units: (N,) names of the units that the kernels belong to.
        inputs: (N,) numbers of the input channels.
        colorings: what color may show, angles first; the direction of the slope and the likeness of the members are
            always there. The page begins with the first.
        text: paragraphs that say where the points come from.
        back: a link to another page: its text and its address.

    Raises:
        DataError: not as many kernels, names or values as points.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from cnnaudit.topology import mapper
        >>> kernels = np.random.default_rng(0).normal(size=(60, 3, 3))
        >>> graph = mapper(kernels.reshape(60, 9), kernels[:, 0, :2], bins=2, eps=3)
        >>> names = [f"conv1_{k // 3}" for k in range(60)]
        >>> path = Path(tempfile.mkdtemp()) / "graph.html"
        >>> write_mapper_page(graph, kernels, names, np.arange(60) % 3, path, title="conv1").name
        'graph.html'
    """
    from cnnaudit.core.files import write_whole

    html = mapper_page(
        graph, kernels, units, inputs, title=title, colorings=colorings, text=text, eyebrow=eyebrow, back=back
    )
    write_whole({path: html})
    return path


def mapper_page(
    graph: MapperGraph,
    kernels: np.ndarray,
    units: Sequence[str],
    inputs: Sequence[int] | np.ndarray,
    *,
    title: str,
    colorings: Sequence[Coloring] = (),
    text: Sequence[str] = (),
    eyebrow: str = "Mapper graph of kernels",
    back: tuple[str, str] | None = None,
) -> str:
    """The page of `write_mapper_page` as HTML. One script draws; its hash is the only one that the page allows."""
    from markupsafe import Markup

    from cnnaudit.report.html import templates

    members = Members(np.asarray(kernels, dtype=float), list(map(str, units)), np.asarray(inputs, dtype=np.int64))
    if not len(members.kernels) == len(members.units) == len(members.inputs) == graph.points:
        raise DataError(
            f"write_mapper_page: {graph.points} points need as many kernels, units and inputs, got "
            f"{len(members.kernels)}, {len(members.units)} and {len(members.inputs)}"
        )
    means = np.array([members.kernels[own].mean(0) for own in graph.nodes]).reshape(-1, *members.kernels.shape[1:])
    values = [(coloring, coloring.of_nodes(graph)) for coloring in colorings]
    values += [(coloring, coloring.values) for coloring in _own_colorings(graph, members.kernels, means)]
    values.sort(key=lambda pair: not pair[0].circular)  # what runs around comes first
    environment = templates()
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "mapper.js")[0].strip()
    return environment.get_template("mapper.html.j2").render(
        title=title,
        eyebrow=eyebrow,
        back=back,
        lead=_lead(graph),
        text=text,
        data=packed_data(graph, members, means, values),
        common=members.common,
        columns=[coloring.title for coloring, _ in values],
        rows=table_rows(graph, members, means, values),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _mean(values: np.ndarray, circular: bool) -> float:
    """The mean of what is finite, on the circle where it is of angles."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan")
    return float(np.angle(np.exp(1j * values).mean()) % (2 * np.pi)) if circular else float(values.mean())


def _own_colorings(graph: MapperGraph, kernels: np.ndarray, means: np.ndarray) -> list[Coloring]:
    """Quantities of the nodes themselves, that every graph of kernels has."""
    norms = np.sqrt((kernels**2).sum((1, 2)))
    typical = np.array([norms[own].mean() for own in graph.nodes], dtype=float)
    alike = np.sqrt((means**2).sum((1, 2))) / np.maximum(typical, 1e-12)
    return [
        Coloring("direction in which the mean kernel grows", slope_direction(means), circular=True),
        Coloring("likeness of the members (1: all equal)", alike),
    ]


def _lead(graph: MapperGraph) -> str:
    inside = len(np.unique(np.concatenate(graph.nodes))) if graph.nodes else 0
    if not graph.nodes:
        return f"The graph is empty: none of the {plural(graph.points, 'kernel')} has enough others near it."
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(graph.nodes)
    joined = coo_array((np.ones(len(graph.edges)), (graph.edges[:, 0], graph.edges[:, 1])), shape=(n, n))
    count, label = connected_components(joined, directed=False)
    largest = int(np.bincount(label).max())
    return (
        f"{plural(n, 'node')} and {plural(len(graph.edges), 'edge')} over {inside:,} of "
        f"{plural(graph.points, 'kernel')}, in {plural(count, 'component')}, the largest of {plural(largest, 'node')}."
    )
